import { afterAll, describe, expect, test } from "bun:test";
import { generate } from "../../bench/generator/generate.ts";
import type { GeneratorTask } from "../../bench/generator/task.ts";

const SOLD = 409;
const STALL_MS = 300;

/** Sells each seat once; the answers of one moment it can be made to hold back. */
const wonSeats = new Set<string>();
let stalledUntil = 0;
let open = 0;
let mostUnderWay = 0;
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: async (request) => {
    mostUnderWay = Math.max(mostUnderWay, ++open);
    const wait = stalledUntil - performance.now();
    if (wait > 0) await Bun.sleep(wait);
    open--;
    const isWon = !wonSeats.has(request.url);
    wonSeats.add(request.url);
    return new Response("{}", { status: isWon ? 201 : SOLD });
  },
});
afterAll(() => server.stop(true));

const task = (more: Partial<GeneratorTask>): GeneratorTask => {
  wonSeats.clear();
  [stalledUntil, mostUnderWay] = [0, 0];
  return {
    ...{ url: `http://127.0.0.1:${server.port}`, connections: 4, seconds: 0.5, idleConnections: 0 },
    ...{ pace: { kind: "closed" }, plan: { kind: "reserve", firstSeatId: 1, lastSeatId: 1_000_000 } },
    ...more,
  };
};

describe("the load generator", () => {
  test("counts in an open loop from when a request was to begin, though the server stalls", async () => {
    const asked = task({ pace: { kind: "open", perSecond: 200 }, seconds: 1, connections: 2 });
    stalledUntil = performance.now() + STALL_MS;
    const { latency, statuses, lost } = await generate(asked);
    expect({ statuses, lost }).toEqual({ statuses: { "201": 200 }, lost: 0 });
    // Of the 200 requests about 60 were to begin while it stalled, on two connections: had each been timed from
    // when it could be sent, two would be late.
    expect(latency.maxMs).toBeWithin(STALL_MS * 0.8, STALL_MS * 3);
    expect(latency.p50Ms).toBeLessThan(STALL_MS / 2);
    expect(mostUnderWay).toBeLessThanOrEqual(2);
    expect(latency.p99Ms).toBeGreaterThan(STALL_MS * 0.7);
  });

  test("sends every request of a sale once, waits for all answers, and knows who won", async () => {
    const plan = { kind: "sale", firstSeatId: 1, seatCount: 50, requestCount: 500 } as const;
    const result = await generate(task({ plan, seconds: 30 }));
    expect(result.statuses).toEqual({ "201": 50, "409": 450 });
    expect(result).toMatchObject({ seatsWon: 50, seatsWonTwice: 0, lost: 0 });
    expect(result.durationMs).toBeLessThan(20_000);
  });

  test("tells of a seat that was sold twice", async () => {
    const seats = task({ plan: { kind: "reserve", firstSeatId: 7, lastSeatId: 7 }, pace: { kind: "burst" } });
    // By its parameters every seat of this server is another one.
    const forgetful = Bun.serve({
      ...{ port: 0, hostname: "127.0.0.1" },
      fetch: () => new Response("{}", { status: 201 }),
    });
    try {
      const result = await generate({ ...seats, url: `http://127.0.0.1:${forgetful.port}` });
      expect(result).toMatchObject({ statuses: { "201": 4 }, seatsWon: 1, seatsWonTwice: 1 });
    } finally {
      await forgetful.stop(true);
    }
  });

  test("sends one request a connection in a burst, with all connections open", async () => {
    const asked = task({ connections: 40, pace: { kind: "burst" } });
    stalledUntil = performance.now() + STALL_MS;
    const { statuses } = await generate({
      ...asked,
      plan: { kind: "reserve", firstSeatId: 3, lastSeatId: 3 },
    });
    expect(statuses).toEqual({ "201": 1, "409": 39 });
    expect(mostUnderWay).toBe(40);
  });

  test("counts as lost what a server that goes away has not answered", async () => {
    const leaving = Bun.serve({
      ...{ port: 0, hostname: "127.0.0.1" },
      fetch: async () => {
        await leaving.stop(true);
        return new Response("{}");
      },
    });
    const result = await generate(task({ url: `http://127.0.0.1:${leaving.port}`, connections: 3 }));
    expect(result.statuses).toEqual({});
    expect(result.lost).toBeGreaterThanOrEqual(1);
  });

  test.each<GeneratorTask["pace"]>([{ kind: "closed" }, { kind: "open", perSecond: 400 }])(
    "leaves no hold behind at the end of its time: %j",
    async (pace) => {
      const held = new Set<string>();
      let made = 0;
      const holding = Bun.serve({
        ...{ port: 0, hostname: "127.0.0.1" },
        fetch: async ({ method, url }) => {
          await Bun.sleep(20);
          if (method === "DELETE") {
            const isHeld = held.delete(url.slice(url.lastIndexOf("/") + 1));
            return Response.json({}, { status: isHeld ? 200 : 409 });
          }
          const reservationId = String(++made);
          held.add(reservationId);
          return Response.json({ reservationId, token: "t" }, { status: 201 });
        },
      });
      try {
        const plan = { kind: "cycle", firstSeatId: 1, lastSeatId: 1000 } as const;
        const url = `http://127.0.0.1:${holding.port}`;
        const { statuses, lost } = await generate(task({ url, plan, pace, connections: 9, seconds: 0.3 }));
        expect(made).toBeGreaterThan(9);
        expect({ statuses, lost, left: held.size }).toEqual({
          ...{ statuses: { "200": made, "201": made }, lost: 0, left: 0 },
        });
      } finally {
        await holding.stop(true);
      }
    },
  );

  test("tells how many requests of an open loop began late", async () => {
    const asked = task({ pace: { kind: "open", perSecond: 200 }, seconds: 1, connections: 2 });
    stalledUntil = performance.now() + STALL_MS;
    const { late, notSent } = await generate(asked);
    expect(late).toBeWithin(30, 150);
    expect(notSent).toBe(0);
    expect((await generate(task({ seconds: 0.1 }))).late).toBe(0);
  });

  test("keeps idle connections open while others ask", async () => {
    const { statuses, lost } = await generate(task({ idleConnections: 20, seconds: 0.2 }));
    expect(Object.keys(statuses)).toEqual(["201"]);
    expect(lost).toBe(0);
  });
});
