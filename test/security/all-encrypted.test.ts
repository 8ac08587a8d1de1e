import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { histogram, reserve } from "../engine/buyers.ts";
import { runEngine } from "../engine/command.ts";
import { logLines, openEngine, strayLines } from "../engine/engines.ts";
import { readEvents } from "../engine/events.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { findOpenssl, openAuthority } from "../fixtures/certificates.ts";
import { findKafka } from "../fixtures/kafka.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { findRedis } from "../fixtures/redis.ts";
import { tempDir } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";
import { PASSWORD as KAFKA_PASSWORD, openDemandingKafka, USER } from "./demanding-kafka.ts";
import { BY_PASSWORD, openDemandingPostgres, PASSWORD as POSTGRES_PASSWORD } from "./demanding-postgres.ts";
import { openDemandingRedis, PASSWORD as REDIS_PASSWORD } from "./demanding-redis.ts";

const parts = [
  await partOrSkip("redis", findRedis),
  await partOrSkip("kafka", findKafka),
  await partOrSkip("openssl", findOpenssl),
];
const SEATS = 20;
const TOKEN_SECRET = "t0ken-s3cret-of-more-than-32-characters";
const WAIT = { deadlineMs: 30_000 };

test.skipIf(parts.includes(undefined))(
  "two engine processes sell and publish where Postgres, Redis and Kafka demand TLS and passwords, which come from files and are told nowhere",
  async () => {
    await using stack = new AsyncDisposableStack();
    const authority = await openAuthority(stack);
    const [postgres, redis, kafka, dir] = await Promise.all([
      openDemandingPostgres(stack, authority),
      openDemandingRedis(stack, authority),
      openDemandingKafka(stack, authority),
      tempDir("secrets"),
    ]);
    stack.defer(dir.remove);
    const secret = (name: string, value: string) => {
      const path = join(dir.path, name);
      writeFileSync(path, `${value}\n`, { mode: 0o600 });
      return path;
    };
    const { certFile, keyFile } = authority.issue({ user: "sentinel" });
    const env = {
      DATABASE_URL_FILE: secret(
        "database-url",
        postgres.urlOf(BY_PASSWORD, `sslmode=require&sslrootcert=${authority.caFile}`),
      ),
      REDIS_URL_FILE: secret("redis-url", redis.urlOf()),
      ...{ REDIS_TLS_CA_FILE: authority.caFile, REDIS_TLS_CERT_FILE: certFile, REDIS_TLS_KEY_FILE: keyFile },
      ...{ KAFKA_BROKERS: kafka.byPassword, KAFKA_SECURITY_PROTOCOL: "SASL_SSL" },
      ...{ KAFKA_SASL_MECHANISM: "SCRAM-SHA-256", KAFKA_SASL_USERNAME: USER },
      KAFKA_SASL_PASSWORD_FILE: secret("kafka-password", KAFKA_PASSWORD),
      KAFKA_SSL_CA_FILE: authority.caFile,
      TOKEN_SECRET_FILE: secret("token", TOKEN_SECRET),
      ...{ DATA_DIR: dir.path, WEB_CONCURRENCY: "2", LOG_LEVEL: "trace" },
    };
    const engine = await openEngine(stack, env);
    await until("Postgres, Redis and Kafka are used", async () => {
      const { sum, value } = await readMetrics(engine.url);
      return (
        sum("sentinel_lock_degraded") === 0 &&
        ["db", "redis", "kafka"].every((component) => value("sentinel_component_up", { component }) === 1)
      );
    });
    const answers = await Promise.all(
      Array.from({ length: 2 * SEATS }, (_, index) => reserve(engine.url, 1 + (index % SEATS))),
    );
    expect(histogram(answers)).toEqual({ 201: SEATS, 409: SEATS });
    const events = await readEvents(
      { brokers: kafka.broker.brokers },
      { atLeast: SEATS, deadlineMs: WAIT.deadlineMs },
    );
    expect(new Set(events.map(({ key }) => Number(key))).size).toBe(SEATS);

    const keys = await runEngine(env, { args: ["keys", "create", "--role", "reader"] });
    expect([keys.exitCode, keys.stderr]).toEqual([0, expect.stringMatching(/^API key/)]);

    const verified = await runEngine(env, { args: ["verify"] });
    expect([verified.exitCode, verified.stderr]).toEqual([0, expect.not.stringMatching(/s3cret/)]);

    const pages = await Promise.all(
      ["/metrics", "/actuator/health", "/health/ready", "/openapi.json", "/docs"].map(async (path) =>
        (await fetch(engine.url + path)).text(),
      ),
    );
    await engine.stop();
    const said = [engine.output(), keys.stderr, keys.stdout, verified.stdout, ...pages].join("\n");
    expect(said).toContain("SASL_SSL");
    for (const hidden of [POSTGRES_PASSWORD, REDIS_PASSWORD, KAFKA_PASSWORD, TOKEN_SECRET, "PRIVATE KEY"]) {
      expect(said).not.toContain(hidden);
    }
    expect(strayLines(engine)).toEqual([]);
    expect(logLines(engine).filter(({ level }) => level >= 50)).toEqual([]);
  },
);
