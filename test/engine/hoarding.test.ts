import { beforeAll, describe, expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/node-postgres";
import pg from "pg";
import { verify } from "../../src/proof/verify/proof.ts";
import { idOf } from "../access/keyed.ts";
import { useStack } from "../fixtures/stack.ts";
import { until, untilWithin } from "../fixtures/until.ts";
import type { Engine } from "./engines.ts";
import {
  expectProblem,
  type Headed,
  type OnSale,
  openTheatre,
  type Theatre,
  type Till,
  tillAt,
  tokenOf,
} from "./reservations.ts";

const HOLDS = "/api/v1/admin/holds";
const DENIALS = "/api/v1/admin/denials";
/** Every process knows of a denial by then. */
const KNOWN = { deadlineMs: 2000 };
/** What a proxy in front says of the clients behind it. */
const from = (address: string): Headed => ({ "x-forwarded-for": address });

interface Seen {
  holds: { reservationId: string; caller: string; buyerId: string | null; seatIds: number[] }[];
  callers: { caller: string; reservations: number; seats: number }[];
  sample: object[];
  next: string | null;
  actId: number;
  reservations: number;
  seats: number;
  isComplete: boolean;
  denialId: number;
  caller: string;
  denials: { denialId: number; caller: string }[];
  acts: { actId: number; kind: string; actor: string; reason: string; detail: object }[];
}

describe("an operator against a hoarder", () => {
  const stack = useStack();
  let theatre: Theatre;
  let house: OnSale;
  let engine: Engine;
  let till: Till;
  /** A second engine on the same database. */
  let other: Till;
  let admin: Headed;
  let seller: Headed;

  beforeAll(async () => {
    theatre = await openTheatre(stack);
    house = await theatre.addEvent({ rows: 60, seatsPerRow: 10, standing: 20 });
    const env = { TRUSTED_PROXY_COUNT: "1" };
    engine = await theatre.openEngine(env);
    till = tillAt(engine.url);
    other = await theatre.openTill(env);
    [admin, seller] = [await theatre.key("admin"), await theatre.key("seller")];
  });

  const seats = (count: number) => house.seats.splice(0, count);
  const held = async (count: number, headers: Headed, more = {}) => {
    const answer = await till.hold({ seatIds: seats(count), ...more }, headers);
    expect(answer.status).toBe(201);
    return answer.body;
  };
  const administer = async (method: string, path: string, body?: object, at = till) => {
    const answer = await at.send(method, path, {
      headers: { ...admin, ...(body && { "content-type": "application/json" }) },
      ...(body && { body: JSON.stringify(body) }),
    });
    return { ...answer, seen: answer.body as unknown as Seen };
  };
  const callerOf = async ({ reservationId }: { reservationId: string }) => {
    const [row] = await theatre.facts.query<{ caller: string }>(
      "select caller from reservations where id = $1",
      [reservationId],
    );
    return row?.caller ?? "none";
  };
  const proven = async () => {
    const client = new pg.Client({ connectionString: theatre.databaseUrl });
    await client.connect();
    try {
      const session = drizzle(client);
      const { proofs } = await verify({ session, otherSession: session, anchors: [], store: undefined });
      expect(proofs.flatMap(({ findings }) => findings)).toEqual([]);
    } finally {
      await client.end();
    }
  };

  test("finds who holds what: by key, by network without its address, by buyer, event and section", async () => {
    const one = await held(3, from("203.0.113.9"), { buyerId: "b-1" });
    const same = await other.hold({ seatIds: seats(1) }, from("::ffff:203.0.113.9"));
    const sixth = await held(2, from("2001:db8:1:2:aaaa::1"));
    const sixthToo = await held(1, from("2001:db8:1:2:bbbb::2"));
    const keyed = await held(1, { ...seller, ...from("203.0.113.9") });
    const floor = await till.hold(
      { eventId: house.eventId, section: "Floor", quantity: 2 },
      from("198.51.100.1"),
    );

    expect(await callerOf(one)).toMatch(/^net:[\w-]{22}$/);
    expect(await callerOf(same.body)).toBe(await callerOf(one));
    expect(await callerOf(sixthToo)).toBe(await callerOf(sixth));
    expect(await callerOf(keyed)).toBe(
      `key:${idOf(String(seller["authorization"]).slice("Bearer ".length))}`,
    );
    const [secret] = await theatre.facts.query<{ value: string }>(
      "select value from secrets where name = 'caller'",
    );
    expect(secret?.value).toHaveLength(43);

    const ids = async (query: string) => {
      const { status, seen } = await administer("GET", `${HOLDS}?${query}`);
      expect(status).toBe(200);
      return seen.holds.map(({ reservationId }) => reservationId).sort();
    };
    const idsOf = (...of: { reservationId: string }[]) => of.map(({ reservationId }) => reservationId).sort();
    expect(await ids(`caller=${await callerOf(one)}`)).toEqual(idsOf(one, same.body));
    expect(await ids("buyerId=b-1")).toEqual(idsOf(one));
    expect(await ids("buyerId=%20b-%E2%80%8B1")).toEqual(idsOf(one));
    expect(await ids(`eventId=${house.eventId}&section=Floor`)).toEqual(idsOf(floor.body));
    expect(await ids(`eventId=${house.eventId}`)).toHaveLength(6);
    for (const [method, path, body] of [
      ["GET", `${HOLDS}?eventId=999`],
      ["GET", `${HOLDS}/callers?eventId=999`],
      ["POST", `${HOLDS}/release`, { eventId: 999, dryRun: true }],
      ["POST", `${HOLDS}/release`, { eventId: 999, reason: "a slip" }],
    ] as const)
      expectProblem(await administer(method, path, body), 404, "event-not-found");

    const first = (await administer("GET", `${HOLDS}?limit=4`)).seen;
    const rest = (await administer("GET", `${HOLDS}?limit=4&after=${first.next}`)).seen;
    expect([first.holds.length, rest.holds.length, rest.next]).toEqual([4, 2, null]);
    const { callers } = (await administer("GET", `${HOLDS}/callers?eventId=${house.eventId}`)).seen;
    expect(callers[0]).toEqual({ caller: await callerOf(one), reservations: 2, seats: 4 });
    expect((await administer("GET", `${HOLDS}?section=Floor`)).status).toBe(400);
    expect((await administer("GET", `${HOLDS}?seat=1`)).status).toBe(400);
    expect((await till.send("GET", HOLDS, { headers: seller })).status).toBe(403);
  });

  test("releases them after a dry run: one version and one row a seat, with the act that says why", async () => {
    const network = from("192.0.2.1");
    const theirs = await Promise.all(Array.from({ length: 30 }, () => held(2, network)));
    const confirmed = await held(1, network);
    expect((await till.act("confirm", confirmed, tokenOf(confirmed))).status).toBe(200);
    const bystander = await held(1, from("192.0.2.2"));
    const caller = await callerOf(theirs[0] ?? { reservationId: "" });
    const rowsBefore = await theatre.ledgerRowCount();

    const filter = { eventId: house.eventId, caller };
    const dry = await administer("POST", `${HOLDS}/release`, { ...filter, dryRun: true });
    expect([dry.status, dry.seen.reservations, dry.seen.seats, dry.seen.sample.length]).toEqual([
      200, 30, 60, 10,
    ]);
    expect(await theatre.ledgerRowCount()).toBe(rowsBefore);
    expectProblem(await administer("POST", `${HOLDS}/release`, filter), 400, "invalid-request");
    expectProblem(await administer("POST", `${HOLDS}/release`, { reason: "all" }), 400, "invalid-request");

    const reason = "bots hold the stalls";
    const { seen: done } = await administer("POST", `${HOLDS}/release`, { ...filter, reason });
    expect(done).toMatchObject({ dryRun: false, reservations: 30, seats: 60, isComplete: true });
    const rows = await theatre.facts.query<{ status: string; count: number }>(
      "select status, count(*)::int as count from seat_events where act_id = $1 group by status",
      [done.actId],
    );
    expect(rows).toEqual([{ status: "RELEASED", count: 60 }]);
    expect(await theatre.ledgerRowCount()).toBe(rowsBefore + 60);
    // Memory, also that of the other engine, and the map follow.
    for (const engineTill of [till, other]) {
      await until("the map shows the released seats as free", async () => {
        const map = await engineTill.map(house.eventId);
        const released = theirs.flatMap(({ seats: own }) => own.map(({ seatId }) => map.get(seatId)));
        return released.every((status) => status === "available");
      });
    }
    expect((await till.show(bystander, tokenOf(bystander))).body.status).toBe("HELD");
    expect((await till.show(confirmed, tokenOf(confirmed))).body.status).toBe("CONFIRMED");
    // Again: nothing is left, and nothing is changed.
    const again = await administer("POST", `${HOLDS}/release`, { ...filter, reason });
    expect(again.seen).toMatchObject({ reservations: 0, isComplete: true });

    const { acts } = (await administer("GET", "/api/v1/admin/log?limit=1000")).seen;
    expect(acts.find(({ actId }) => actId === done.actId)).toMatchObject({
      kind: "holds.released",
      actor: expect.stringMatching(/^key:/),
      reason,
      detail: { filter },
    });
    expect(acts.find(({ actId }) => actId === dry.seen.actId)).toMatchObject({
      kind: "holds.previewed",
      detail: { reservations: 30, seats: 60 },
    });
    await theatre.expectSound();
    await proven();
  });

  test("denies a network for a time, at every process within 2 s, and the reserve route with it", async () => {
    const bad = from("198.51.100.77");
    const good = from("198.51.101.77");
    const [free = 0, more = 0] = seats(2);
    const reserve = (at: Till, seatId: number, headers: Headed) =>
      at.send("POST", `/api/v1/bookings/reserve/${seatId}`, { headers });

    const body = { network: "198.51.100.0/24", seconds: 600, reason: "hoards" };
    const denied = await administer("POST", DENIALS, body);
    expect(denied.status).toBe(201);
    const refused = await till.hold({ seatIds: [free] }, bad);
    expectProblem(refused, 403, "caller-denied");
    expect(Number(refused.headers.get("retry-after"))).toBeWithin(590, 601);
    await untilWithin(
      KNOWN.deadlineMs,
      "the other engine knows of the denial",
      async () => (await other.send("GET", "/api/v1/events", { headers: bad })).status === 403,
    );
    expectProblem(await reserve(till, free, bad), 403, "caller-denied");
    expectProblem(await till.send("GET", "/api/v1/events", { headers: bad }), 403, "caller-denied");
    expect((await reserve(till, free, good)).status).toBe(201);
    // A key speaks for itself, wherever it comes from; and administrators can always undo it.
    expect((await till.hold({ seatIds: [more] }, { ...seller, ...bad })).status).toBe(201);
    const [keyed = 0] = seats(1);
    const forged = String(seller["authorization"]).replace(/.$/, (last) => (last === "A" ? "B" : "A"));
    for (const useless of [{ authorization: forged }, await theatre.key("reader"), { "x-api-key": "wrong" }])
      expectProblem(await reserve(till, keyed, { ...useless, ...bad }), 403, "caller-denied");
    expect((await reserve(till, keyed, { ...seller, ...bad })).status).toBe(201);
    const list = await till.send("GET", DENIALS, { headers: { ...admin, ...bad } });
    expect((list.body as unknown as Seen).denials).toMatchObject([{ denialId: denied.seen.denialId }]);

    expect((await administer("DELETE", `${DENIALS}/${denied.seen.denialId}`)).status).toBe(204);
    expect((await till.send("GET", "/api/v1/events", { headers: bad })).status).toBe(200);
    await untilWithin(
      KNOWN.deadlineMs,
      "the other engine knows that the denial is over",
      async () => (await other.send("GET", "/api/v1/events", { headers: bad })).status === 200,
    );
    expect((await administer("DELETE", `${DENIALS}/999`)).status).toBe(404);
  });

  test.each([
    ["198.51.102.7", "::ffff:198.51.102.7"],
    ["198.51.102.7", "::FFFF:C633:6607"],
    ["198.51.102.7", "0:0:0:0:0:ffff:c633:6607"],
    ["::ffff:c633:6607", "198.51.102.7"],
    ["::ffff:c633:6600/120", "198.51.102.7"],
    ["198.51.102.99/24", "0000::ffff:c633:6607"],
    ["2001:DB8:0:9::", "2001:0db8:0000:0009:aaaa::1"],
    ["2001:db8:0:9:ffff::1/48", "2001:db8::1"],
    ["2001:db8:0:9::1/128", "2001:db8:0:9::2"],
    ["fe80::1%eth0", "fe80::2"],
  ])("denies by %s the client %s, whatever the spelling of the two", async (network, address) => {
    const denied = await administer("POST", DENIALS, { network, seconds: 60, reason: "spelt" });
    expect([network, denied.status]).toEqual([network, 201]);
    expect((await till.send("GET", "/api/v1/events", { headers: from(address) })).status).toBe(403);
    expect((await administer("DELETE", `${DENIALS}/${denied.seen.denialId}`)).status).toBe(204);
    expect((await till.send("GET", "/api/v1/events", { headers: from(address) })).status).toBe(200);
  });

  test("refuses a network or caller that is none, and names the field", async () => {
    const wrong = async (field: string, value: string) => {
      const answer = await administer("POST", DENIALS, { [field]: value, seconds: 60, reason: "spelt" });
      expect([value, answer.status]).toEqual([value, 400]);
      expect(answer.body.detail).toStartWith(`${field}: `);
    };
    for (const network of [
      ...["198.51.100.0/33", "198.51.100.0/0", "198.51.100.0/024", "198.51.100.0/", "198.051.100.007"],
      ...["::/0", "2001:db8::/15", "2001:db8::/65", "2001:db8::/129", "2001:db8::/999"],
      ...["::ffff:198.51.100.0/24", "::ffff:198.51.100.0/96", "::ffff:999.51.100.0", "unknown"],
    ])
      await wrong("network", network);
    for (const caller of [
      ...[`key:${"-".repeat(36)}`, `key:${"a".repeat(36)}`, "key:019A9D0E-8A53-7000-A1B2-C3D4E5F60718"],
      ...[`net:${"-".repeat(22)}`, "net:198.51.100.7", "198.51.100.7"],
    ])
      await wrong("caller", caller);
  });

  test("denies a key, and a caller as the list of holds names it, until the time is over", async () => {
    const shop = await theatre.key("seller");
    const keyId = idOf(String(shop["authorization"]).slice("Bearer ".length));
    const body = { seconds: 600, reason: "leaked" };
    expect((await administer("POST", DENIALS, { ...body, caller: `key:${keyId}` })).status).toBe(201);
    expectProblem(await till.hold({ seatIds: seats(1) }, shop), 403, "caller-denied");
    expect((await till.hold({ seatIds: seats(1) }, seller)).status).toBe(201);

    const network = from("192.0.2.50");
    const caller = await callerOf(await held(1, network));
    expect((await administer("POST", DENIALS, { caller, seconds: 1, reason: "hoards" })).status).toBe(201);
    expectProblem(await till.hold({ seatIds: seats(1) }, network), 403, "caller-denied");
    await until(
      "the denial ends by itself",
      async () => (await till.send("GET", "/api/v1/events", { headers: network })).status === 200,
    );
    await proven();
  });

  test("closes an event so that its holds are neither extended nor confirmed, until it opens again", async () => {
    const [one, two] = [await held(1, from("192.0.2.60")), await held(1, from("192.0.2.61"))];
    const path = `/api/v1/admin/events/${house.eventId}`;
    const acts = async (action: "confirm" | "extend", of: typeof one, at = till) =>
      at.act(action, of, tokenOf(of));
    expect((await administer("POST", `${path}/close`)).status).toBe(200);
    expect((await acts("extend", one, other)).status).toBe(200);

    const closed = await administer("POST", `${path}/close`, {
      stopExtensions: true,
      stopConfirmations: true,
    });
    expect(closed.seen).toMatchObject({ status: "closed", stopExtensions: true, stopConfirmations: true });
    for (const at of [till, other]) {
      expectProblem(await acts("extend", one, at), 403, "extensions-stopped");
      expectProblem(await acts("confirm", one, at), 403, "confirmations-stopped");
    }
    expect((await till.act("release", two, tokenOf(two))).status).toBe(200);

    const again = await administer("POST", `${path}/close`, { stopExtensions: true });
    expect(again.text).not.toContain("stopConfirmations");
    expectProblem(await acts("extend", one), 403, "extensions-stopped");
    expect((await administer("POST", `${path}/open`)).text).not.toContain("stopExtensions");
    expect((await administer("POST", `${path}/close`)).status).toBe(200);
    expect((await acts("confirm", one)).status).toBe(200);
    expectProblem(await administer("POST", `${path}/close`, { stop: true }), 400, "invalid-request");
  });
});
