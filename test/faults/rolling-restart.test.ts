import { beforeAll, describe, expect, test } from "bun:test";
import { Agent, request } from "node:http";
import { reservePath } from "../engine/buyers.ts";
import type { Engine } from "../engine/engines.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { freePort } from "../fixtures/free-port.ts";
import { findHaproxy, findNginx, startHaproxy, startNginx } from "../fixtures/load-balancers.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { until } from "../fixtures/until.ts";
import { useHouse } from "../fixtures/use-engine.ts";
import { listen } from "../live/listener.ts";

// Row 13 of README.md: one engine after the other is restarted behind the proxies of docs/operations/restarts.md.

const haproxy = await partOrSkip("haproxy", findHaproxy);
const nginx = await partOrSkip("nginx", findNginx);

const SEATS = 40_000;
const CLIENTS_OF_A_PROXY = 12;
const THINK_MS = 4;
/** Longer than haproxy's three checks, as the page says how to choose it. */
const DRAIN_DELAY_MS = 2500;

describe.skipIf(!haproxy || !nginx)("two engines behind haproxy and nginx", () => {
  const house = useHouse({
    seats: SEATS,
    env: { DRAIN_DELAY_MS: String(DRAIN_DELAY_MS), RATE_LIMIT_ADDRESS_REQUESTS: "0" },
  });
  const ports = { one: 0, two: 0 };
  const engines: Partial<Record<keyof typeof ports, Engine>> = {};
  let seatId = 0;

  const open = async (name: keyof typeof ports) => {
    const WEB_CONCURRENCY = name === "two" ? "2" : "1";
    const engine = await house.open({ PORT: String(ports[name]), WEB_CONCURRENCY });
    engines[name] = engine;
    return engine;
  };

  beforeAll(async () => {
    Object.assign(ports, { one: await freePort(), two: await freePort() });
    await Promise.all([open("one"), open("two")]);
  });

  test("give no 502 to an nginx with its default protocol version and a pool of connections", async () => {
    const port = await freePort();
    await startNginx(house.stack, nginx ?? "", { ...ports, listen: port }, "default");
    const crowd = openCrowd(port, () => ++seatId);
    await until("300 seats are sold", () => (crowd.counts["POST 201"] ?? 0) >= 300);
    expect(Object.keys(await crowd.stop()).sort()).toEqual(["GET 200", "POST 201"]);
  });

  test("are restarted in turn and no client of either proxy sees an error", async () => {
    const proxyPorts = [await freePort(), await freePort()];
    const [first = 0, second = 0] = proxyPorts;
    await startHaproxy(house.stack, haproxy ?? "", { ...ports, listen: first });
    await startNginx(house.stack, nginx ?? "", { ...ports, listen: second });
    const { length: soldBefore } = await house.facts.ledger();
    const crowds = proxyPorts.map((port) => openCrowd(port, () => ++seatId));
    const takesPart = async ({ url }: Engine) => {
      const upAt = performance.now();
      // nginx asks it again a second after it was refused.
      await until(
        "both proxies send it buyers",
        async () =>
          performance.now() > upAt + 1500 &&
          (await readMetrics(url)).sum("sentinel_reservations_total", { outcome: "won" }) > 50,
      );
    };
    for (const name of ["one", "two"] as const) {
      const engine = engines[name];
      if (!engine) throw new Error(`engine ${name} is not open`);
      await takesPart(engine);
      const listener = await listen(engine.url, { eventId: 1 });
      expect(await engine.stop()).toBe(0);
      expect(listener.heard.at(-1)).toMatchObject({ event: "closing" });
      await takesPart(await open(name));
    }
    const seen = await Promise.all(crowds.map((crowd) => crowd.stop()));
    for (const counts of seen) {
      expect(Object.keys(counts).sort()).toEqual(["GET 200", "POST 201"]);
      expect(counts["POST 201"]).toBeGreaterThan(500);
    }
    const sold = seen.reduce((sum, counts) => sum + (counts["POST 201"] ?? 0), 0);
    expect(await house.facts.ledger()).toHaveLength(soldBefore + sold);
    await house.facts.expectSound();
  });
});

/** Clients that keep their connections: one half reads, the other half reserves a new seat each time. */
function openCrowd(port: number, nextSeat: () => number) {
  const agent = new Agent({ keepAlive: true });
  const counts: Record<string, number> = {};
  let stopped = false;
  const ask = (method: string, path: string) =>
    new Promise<string>((resolve) => {
      const broken = (error: NodeJS.ErrnoException) => resolve(`${method} ${error.code ?? error.message}`);
      const asked = request({
        host: "127.0.0.1",
        port,
        method,
        path,
        agent,
        headers: { "content-length": "0" },
      });
      asked.on("error", broken).on("response", (response) => {
        response.on("error", broken).on("end", () => resolve(`${method} ${response.statusCode}`));
        response.resume();
      });
      asked.end();
    });
  const client = async (reads: boolean) => {
    while (!stopped) {
      const seen = reads ? await ask("GET", "/api/v1/events") : await ask("POST", reservePath(nextSeat()));
      counts[seen] = (counts[seen] ?? 0) + 1;
      await Bun.sleep(THINK_MS);
    }
  };
  const ended = Promise.all(
    Array.from({ length: CLIENTS_OF_A_PROXY }, (_, index) => client(index % 2 === 0)),
  );
  return {
    counts,
    stop: async () => {
      stopped = true;
      await ended;
      agent.destroy();
      return counts;
    },
  };
}
