import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Redis as Client } from "ioredis";
import { reserve } from "../engine/buyers.ts";
import { type Engine, logLines, openEngine, strayLines } from "../engine/engines.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { type Authority, type Certificate, findOpenssl, openAuthority } from "../fixtures/certificates.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { type Database, openDatabase } from "../fixtures/postgres.ts";
import { findRedis, startRedis } from "../fixtures/redis.ts";
import { useStack } from "../fixtures/stack.ts";
import { until } from "../fixtures/until.ts";
import { openSelling } from "../fixtures/use-engine.ts";
import { type DemandingRedis, openDemandingRedis, PASSWORD, RIGHTS } from "./demanding-redis.ts";

const redisFound = await partOrSkip("redis", findRedis);
const openssl = await partOrSkip("openssl", findOpenssl);
const NOT_USED =
  "Engines do not hear of each other through Redis: correct REDIS_URL, REDIS_TLS_... or its users";

describe.skipIf(!redisFound || !openssl)("a Redis that demands TLS, a certificate and a user", () => {
  const stack = useStack();
  let authority: Authority;
  let stranger: Authority;
  let client: Certificate;
  let redis: DemandingRedis;
  let database: Database;
  let seat = 0;

  beforeAll(async () => {
    authority = await openAuthority(stack);
    stranger = await openAuthority(stack);
    client = authority.issue({ user: "sentinel" });
    redis = await openDemandingRedis(stack, authority);
    database = await openDatabase(stack, "empty");
  });

  const files = (own: Certificate = client, ca = authority.caFile) => ({
    ...{ REDIS_TLS_CA_FILE: ca, REDIS_TLS_CERT_FILE: own.certFile, REDIS_TLS_KEY_FILE: own.keyFile },
  });
  const open = (own: AsyncDisposableStack, env: Record<string, string>) =>
    openEngine(own, { DATABASE_URL: database.url, LOG_LEVEL: "trace", ...env });
  const isUsed = async ({ url }: Engine, used: boolean) =>
    until(`Redis is ${used ? "" : "not "}used`, async () => {
      const { value } = await readMetrics(url);
      return (
        value("sentinel_component_up", { component: "redis" }) === (used ? 1 : 0) &&
        value("sentinel_feed_up") === (used ? 1 : 0)
      );
    });
  const refusalOf = (engine: Engine) =>
    until(
      "the log says why Redis is not used",
      () => logLines(engine).find(({ msg }) => msg === NOT_USED) as { error?: string } | undefined,
    );
  const keys = async () => {
    const [ca, cert, key] = [authority.caFile, client.certFile, client.keyFile].map((path) =>
      readFileSync(path, "utf8"),
    );
    const observer = new Client(redis.urlOf(), { tls: { ca, cert, key } });
    try {
      return (await observer.scan("0", "COUNT", "1000"))[1];
    } finally {
      observer.disconnect();
    }
  };
  /** Everything that an operator or a client could read. */
  const everythingSaid = async (engine: Engine) => {
    const pages = await Promise.all(
      ["/metrics", "/actuator/health", "/health/ready", "/openapi.json"].map(async (path) =>
        (await fetch(engine.url + path)).text(),
      ),
    );
    return [engine.output(), ...pages].join("\n");
  };

  test("locks seats, passes changes on and counts requests for an engine that has all three", async () => {
    await using own = new AsyncDisposableStack();
    const env = { REDIS_URL: redis.urlOf(), ...files() };
    const engine = await open(own, env);
    await isUsed(engine, true);
    expect((await reserve(engine.url, ++seat)).status).toBe(201);
    await fetch(`${engine.url}/api/v1/seats/1`);
    expect(await keys()).toContainEqual(expect.stringMatching(/^sentinel:[^:]+:limit:address:/));
    const said = await everythingSaid(engine);
    expect(said).toContain(`rediss://127.0.0.1:${redis.port}`);
    expect(said).not.toContain(PASSWORD);
    expect(said).not.toContain("PRIVATE KEY");
    expect(strayLines(engine)).toEqual([]);
    expect(logLines(engine).map(({ msg }) => msg)).not.toContain(NOT_USED);
  });

  test.each([
    ["with a wrong password", () => ({ REDIS_URL: redis.urlOf("wr0ng"), ...files() }), /WRONGPASS/],
    [
      "that believes another authority",
      () => ({ REDIS_URL: redis.urlOf(), ...files(client, stranger.caFile) }),
      /certificate/,
    ],
    ["with a stranger's certificate", () => ({ REDIS_URL: redis.urlOf(), ...files(stranger.issue()) }), /./],
    ["in plain text", () => ({ REDIS_URL: redis.urlOf().replace("rediss", "redis") }), undefined],
  ])("is not used by an engine %s, which sells without it and says why", async (_, envOf, reason) => {
    await using own = new AsyncDisposableStack();
    const engine = await open(own, envOf());
    await isUsed(engine, false);
    expect((await reserve(engine.url, ++seat)).status).toBe(201);
    if (reason) expect((await refusalOf(engine)).error).toMatch(reason);
    const said = await everythingSaid(engine);
    expect(said).not.toMatch(new RegExp(`${PASSWORD}|wr0ng|PRIVATE KEY`));
    expect(logLines(engine).filter(({ msg }) => msg === NOT_USED).length).toBeLessThanOrEqual(1);
    expect(strayLines(engine)).toEqual([]);
  });

  test("is not believed with the name of another host, nor with an expired certificate, until it shows a right one", async () => {
    await using own = new AsyncDisposableStack();
    await redis.show(authority.issue({ names: "DNS:other.example" }));
    const engine = await open(own, { REDIS_URL: redis.urlOf(), ...files() });
    expect((await refusalOf(engine)).error).toMatch(/does not match certificate/);
    await redis.show(authority.issue({ expired: true }));
    await isUsed(engine, false);
    await redis.show(authority.issue());
    await isUsed(engine, true);
  });
});

test.skipIf(!redisFound)(
  "a Redis without TLS is not spoken to in plain text where rediss:// asks for TLS",
  async () => {
    await using stack = new AsyncDisposableStack();
    const redis = await startRedis();
    stack.defer(redis.stop);
    const env = { REDIS_URL: redis.url.replace("redis:", "rediss:") };
    const { engine } = await openSelling(stack, { env });
    expect((await reserve(engine.url, 1)).status).toBe(201);
    await until("Redis is not used", async () => {
      const { value } = await readMetrics(engine.url);
      return value("sentinel_component_up", { component: "redis" }) === 0;
    });
  },
);

test("the operators' page gives the user in Redis the rights that an engine is tested with", () => {
  const page = readFileSync(resolve(import.meta.dir, "../../docs/operations/redis.md"), "utf8");
  expect(page).toContain(` ${RIGHTS}\n`);
});
