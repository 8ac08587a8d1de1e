import { beforeAll, describe, expect, test } from "bun:test";
import { Redis as Client } from "ioredis";
import { reserve, seatsFrom, THINK_MS } from "../engine/buyers.ts";
import { type Engine, logLines } from "../engine/engines.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { startProxy } from "../fixtures/proxy.ts";
import { findRedis, type Redis, startRedis } from "../fixtures/redis.ts";
import { until, untilWithin } from "../fixtures/until.ts";
import { openSelling, useHouse } from "../fixtures/use-engine.ts";

// A Redis that answers PING and does not do what the engine needs.

const found = await partOrSkip("redis", findRedis);

const SEATS = 20_000;
/** On a busy machine; a late answer would be another reason than the one that is looked for. */
const REDIS_TIMEOUT_MS = "250";
const WAIT = { deadlineMs: 20_000 };
/** Long enough for a state that changes twice a second to be seen changing, and for connections to be replaced. */
const STEADY_MS = 1500;
/** Of the metrics of all threads, which are told once a second, on a busy machine. */
const BACK_WITHIN_MS = 8000;

/** A refusal: how it begins and ends, and what the engine says of it. */
interface Refusal {
  name: string;
  begin(redis: Client): Promise<unknown>;
  end(redis: Client): Promise<unknown>;
  reason: RegExp;
}

async function componentStatus(url: string, component: string): Promise<string> {
  const health = (await (await fetch(`${url}/actuator/health`)).json()) as {
    components: Record<string, { status: string }>;
  };
  return health.components[component]?.status ?? "missing";
}

const set = (redis: Client, setting: string, value: string) => redis.config("SET", setting, value);

/** One of each kind: of a replica, of any write, of a user's rights, and no answer. */
const REFUSALS: Refusal[] = [
  {
    name: "is a replica",
    begin: (redis) => redis.replicaof("127.0.0.1", "1"),
    end: (redis) => redis.replicaof("NO", "ONE"),
    reason: /READONLY/,
  },
  {
    name: "has no memory left and evicts nothing",
    begin: (redis) => set(redis, "maxmemory", "1"),
    end: (redis) => set(redis, "maxmemory", "0"),
    reason: /OOM/,
  },
  {
    name: "lets the engine's user read only",
    begin: (redis) => redis.acl("SETUSER", "default", "-@write"),
    end: (redis) => redis.acl("SETUSER", "default", "+@all"),
    reason: /ACL|NOPERM|can't run this command/,
  },
  {
    name: "pauses writes",
    begin: (redis) => redis.call("CLIENT", "PAUSE", "600000", "WRITE"),
    end: (redis) => redis.call("CLIENT", "UNPAUSE"),
    reason: /timed out/,
  },
];

describe.skipIf(!found)("an engine whose Redis", () => {
  const house = useHouse({ needs: ["redis"], seats: SEATS, env: { REDIS_TIMEOUT_MS } });
  let redis: Redis;
  let other: Redis;
  let admin: Client;
  let network: Awaited<ReturnType<typeof startProxy>>;
  let engine: Engine;
  const seats = seatsFrom(1, SEATS);

  beforeAll(async () => {
    const { stack } = house;
    redis = house.redis ?? expect.unreachable("skipped without Redis");
    other = await startRedis();
    stack.defer(() => other.stop());
    admin = new Client(redis.url);
    stack.defer(() => admin.disconnect());
    network = await startProxy(redis.url);
    stack.defer(network.stop);
    engine = await house.open({ REDIS_URL: network.url });
    await redisIs("UP", WAIT.deadlineMs);
  });

  const health = async () => componentStatus(engine.url, "redis");
  const redisIs = (status: "UP" | "DOWN", deadlineMs: number) =>
    untilWithin(deadlineMs, `health and metrics say that Redis is ${status}`, async () => {
      const { value } = await readMetrics(engine.url);
      const up = status === "UP" ? 1 : 0;
      return (
        (await health()) === status &&
        value("sentinel_component_up", { component: "redis" }) === up &&
        value("sentinel_lock_degraded", { thread: "reservation-1" }) === 1 - up &&
        value("sentinel_lock_master_up", { master: "1" }) === up
      );
    });
  const sellOne = async () => expect((await reserve(engine.url, seats.next().value ?? 0)).status).toBe(201);
  const unlocked = async () =>
    (await readMetrics(engine.url)).value("sentinel_unguarded_batches_total") ?? Number.NaN;
  const expectLocked = async () => {
    const before = await unlocked();
    await sellOne();
    expect((await unlocked()) - before).toBe(0);
  };
  /** What health says all the time, while seats are sold. */
  const expectSteadilyDown = async () => {
    const seen = new Set<string>();
    for (const since = performance.now(); performance.now() - since < STEADY_MS; ) {
      await sellOne();
      seen.add(await health());
      await Bun.sleep(THINK_MS);
    }
    expect([...seen]).toEqual(["DOWN"]);
  };
  const expectTold = (before: number, reason: RegExp) =>
    expect(
      logLines(engine)
        .slice(before)
        .map(({ msg, reason: told }) => [msg, told]),
    ).toEqual([
      [expect.stringContaining("Redis is unavailable"), expect.stringMatching(reason)],
      [expect.stringContaining("Redis is available again"), undefined],
    ]);

  test.each(REFUSALS.map((refusal) => [refusal.name, refusal] as const))(
    "%s: one state until it is over, one line at each end, and back within seconds",
    async (_name, { begin, end, reason }) => {
      await expectLocked();
      const before = logLines(engine).length;
      try {
        await begin(admin);
        await until("the refusal is noticed", async () => (await sellOne()) ?? (await health()) === "DOWN");
        await redisIs("DOWN", WAIT.deadlineMs);
        await expectSteadilyDown();
      } finally {
        await end(admin);
      }
      await redisIs("UP", BACK_WITHIN_MS);
      await expectLocked();
      expectTold(before, reason);
    },
  );

  test("is a replica is reported as down while nobody buys, and as up when it takes writes again", async () => {
    const before = logLines(engine).length;
    try {
      await admin.replicaof("127.0.0.1", "1");
      await redisIs("DOWN", WAIT.deadlineMs);
    } finally {
      await admin.replicaof("NO", "ONE");
    }
    await redisIs("UP", BACK_WITHIN_MS);
    expectTold(before, /READONLY/);
  });

  test.each([
    ["publish", ["-publish"], ["+@all"]],
    ["use channels", ["resetchannels"], ["allchannels"]],
  ])("denies its user to %s: one line says so, and the feed is heard again", async (_what, deny, allow) => {
    const feedIs = (up: number) =>
      until(
        `sentinel_feed_up is ${up}`,
        async () => (await readMetrics(engine.url)).value("sentinel_feed_up") === up,
      );
    await feedIs(1);
    const before = logLines(engine).length;
    try {
      await admin.acl("SETUSER", "default", ...deny);
      await feedIs(0);
    } finally {
      await admin.acl("SETUSER", "default", ...allow);
    }
    await feedIs(1);
    const told = logLines(engine).slice(before);
    expect(told.map(({ error }) => error)).toEqual([expect.stringContaining("NOPERM")]);
  });

  test("becomes a replica follows its address to the new master, the change feed included", async () => {
    const newMaster = new Client(other.url);
    const connections = async (client: Client) => (await client.client("LIST")) as string;
    const feedIsHeard = async () =>
      (await readMetrics(engine.url)).value("sentinel_feed_up") === 1 &&
      /sub=1/.test(await connections(newMaster));
    const before = logLines(engine).length;
    try {
      await admin.replicaof("127.0.0.1", String(other.port));
      // The address moves, and the connections to the former master stay as they are.
      network.moveNewConnectionsTo(other.url);
      await untilWithin(
        BACK_WITHIN_MS,
        "the engine works with the new master",
        async () => (await sellOne()) ?? feedIsHeard(),
      );
      await redisIs("UP", BACK_WITHIN_MS);
      await until("a seat is locked there", () => expectLocked().then(() => true));
      // Nobody of the engine stays: this client and the replication's own are left.
      await untilWithin(
        BACK_WITHIN_MS,
        "the engine has left the former master",
        async () => !/cmd=(evalsha|publish|subscribe|set|scan|get)/.test(await connections(admin)),
      );
      expect(logLines(engine).slice(before).length).toBeLessThanOrEqual(2);
    } finally {
      newMaster.disconnect();
      network.moveNewConnectionsTo(redis.url);
      await admin.replicaof("NO", "ONE");
    }
  });

  test("gives it the documented rights only does all that is asked of it", async () => {
    const [, rules = ""] =
      /ACL SETUSER sentinel (.*)/.exec(await Bun.file("docs/operations/redis.md").text()) ?? [];
    await admin.call("ACL", "SETUSER", "sentinel", ...rules.split(" "));
    // Entries of earlier tests.
    await admin.acl("LOG", "RESET");
    const url = new URL(redis.url);
    Object.assign(url, { username: "sentinel", password: "a-long-password" });
    const limited = await house.open({ REDIS_URL: url.href });
    await until(
      "the change feed is heard",
      async () => (await readMetrics(limited.url)).value("sentinel_feed_up") === 1,
    );
    await until("a seat is locked", async () => {
      const before = (await readMetrics(limited.url)).value("sentinel_unguarded_batches_total");
      expect((await reserve(limited.url, seats.next().value ?? 0)).status).toBe(201);
      const { value } = await readMetrics(limited.url);
      return (
        value("sentinel_component_up", { component: "redis" }) === 1 &&
        value("sentinel_unguarded_batches_total") === before
      );
    });
    const denied = ((await admin.acl("LOG")) as unknown[][]).map((entry) => entry.join(" "));
    expect(denied.filter((entry) => entry.includes("sentinel"))).toEqual([]);
  });
});

describe.skipIf(!found)("an engine with three Redis masters", () => {
  test("tells of one that refuses, goes on with two, and does without locks below a majority", async () => {
    await using stack = new AsyncDisposableStack();
    const redises = await Promise.all([startRedis(), startRedis(), startRedis()]);
    for (const redis of redises) stack.defer(() => redis.stop());
    const admins = redises.map(({ url }) => new Client(url));
    for (const admin of admins) stack.defer(() => admin.disconnect());
    const env = { REDIS_URL: redises.map(({ url }) => url).join(), REDIS_TIMEOUT_MS };
    const { engine } = await openSelling(stack, { seats: SEATS, env });
    let seatId = 0;
    const standIs = (redisUp: number, ...masters: number[]) =>
      until(`Redis is ${redisUp}, its masters are ${masters}`, async () => {
        expect((await reserve(engine.url, ++seatId)).status).toBe(201);
        const { value } = await readMetrics(engine.url);
        const seen = [1, 2, 3].map((master) => value("sentinel_lock_master_up", { master: String(master) }));
        return (
          value("sentinel_component_up", { component: "redis" }) === redisUp && Bun.deepEquals(seen, masters)
        );
      });
    await standIs(1, 1, 1, 1);
    const before = logLines(engine).length;
    await admins[1]?.config("SET", "maxmemory", "1");
    await standIs(1, 1, 0, 1);
    await admins[0]?.replicaof("127.0.0.1", "1");
    await standIs(0, 0, 0, 1);
    await admins[0]?.replicaof("NO", "ONE");
    await admins[1]?.config("SET", "maxmemory", "0");
    await standIs(1, 1, 1, 1);
    const lines = logLines(engine).slice(before);
    expect(lines.map(({ msg, master }) => `${master ?? ""} ${msg.split(":")[0]}`).sort()).toEqual(
      [
        " Redis is unavailable",
        " Redis is available again",
        ...[1, 2].flatMap((master) => [
          `${master} a Redis master is unavailable`,
          `${master} a Redis master is available again`,
        ]),
      ].sort(),
    );
  });
});
