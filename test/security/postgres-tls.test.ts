import { beforeAll, describe, expect, test } from "bun:test";
import { readConfig } from "../../src/config/config.ts";
import { openPool } from "../../src/postgres/connect.ts";
import { messageOf } from "../../src/telemetry/log.ts";
import { reserve } from "../engine/buyers.ts";
import { runEngine } from "../engine/command.ts";
import { openEngine } from "../engine/engines.ts";
import { type Authority, type Certificate, findOpenssl, openAuthority } from "../fixtures/certificates.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { useStack } from "../fixtures/stack.ts";
import {
  BY_CERTIFICATE,
  BY_PASSWORD,
  type DemandingPostgres,
  openDemandingPostgres,
  PASSWORD,
} from "./demanding-postgres.ts";

const openssl = await partOrSkip("openssl", findOpenssl);

describe.skipIf(!openssl)("a Postgres that demands TLS", () => {
  const stack = useStack();
  let authority: Authority;
  let stranger: Authority;
  let client: Certificate;
  let postgres: DemandingPostgres;
  let verified: string;

  beforeAll(async () => {
    authority = await openAuthority(stack);
    stranger = await openAuthority(stack);
    client = authority.issue({ user: BY_CERTIFICATE });
    postgres = await openDemandingPostgres(stack, authority);
    verified = `sslmode=verify-full&sslrootcert=${authority.caFile}`;
    // The first start makes the tables that a connection is checked by.
    const first = await openEngine(stack, { DATABASE_URL: postgres.urlOf(BY_PASSWORD, verified) });
    expect((await reserve(first.url, 1)).status).toBe(201);
    await first.stop();
  });

  /** How the server sees a connection by that URL, after the configuration has read it; or why there is none. */
  async function connect(url: string): Promise<string> {
    const pool = openPool(
      {
        databaseUrl: readConfig({ DATABASE_URL: url }).databaseUrl ?? "",
        name: "test-tls",
        ...{ connectionLimit: 1, statementTimeoutMs: 1500, connectTimeoutMs: 5000 },
      },
      () => undefined,
    );
    try {
      const { rows } = await pool.query(
        "select current_user as who, ssl, version from pg_stat_ssl where pid = pg_backend_pid()",
      );
      return `${rows[0]?.who} ${rows[0]?.ssl ? "by TLS" : "in plain text"}`;
    } catch (error) {
      return messageOf(error);
    } finally {
      await pool.end();
    }
  }

  test.each(["verify-full", "verify-ca", "require", "prefer"])(
    "takes a password over sslmode=%s, which verifies the certificate and the name in it",
    async (mode) => {
      const settings = `sslmode=${mode}&sslrootcert=${authority.caFile}`;
      expect(await connect(postgres.urlOf(BY_PASSWORD, settings))).toBe(`${BY_PASSWORD} by TLS`);
      expect(await connect(postgres.urlOf(BY_PASSWORD, settings, "localhost"))).toBe(`${BY_PASSWORD} by TLS`);
      await postgres.show(authority.issue({ names: "DNS:other.example" }));
      try {
        expect(await connect(postgres.urlOf(BY_PASSWORD, settings))).toMatch(/does not match certificate/);
      } finally {
        await postgres.show(authority.issue());
      }
    },
  );

  test("takes a certificate for a password, but no other's and not none", async () => {
    const by = ({ certFile, keyFile }: Certificate) =>
      postgres.urlOf(BY_CERTIFICATE, `${verified}&sslcert=${certFile}&sslkey=${keyFile}`);
    expect(await connect(by(client))).toBe(`${BY_CERTIFICATE} by TLS`);
    expect(await connect(by(authority.issue({ user: "somebody" })))).toMatch(/authentication failed/);
    expect(await connect(by(stranger.issue({ user: BY_CERTIFICATE })))).not.toMatch(/by TLS|plain text/);
    expect(await connect(postgres.urlOf(BY_CERTIFICATE, verified))).toMatch(/client certificate/);
  });

  test("is not believed with an authority's certificate that is not its own, none, or an expired one", async () => {
    const strange = postgres.urlOf(BY_PASSWORD, `sslmode=require&sslrootcert=${stranger.caFile}`);
    expect(await connect(strange)).toMatch(/certificate/);
    expect(await connect(postgres.urlOf(BY_PASSWORD, "sslmode=require"))).toMatch(/certificate/);
    await postgres.show(authority.issue({ expired: true }));
    try {
      expect(await connect(postgres.urlOf(BY_PASSWORD, verified))).toMatch(/certificate has expired/);
    } finally {
      await postgres.show(authority.issue());
    }
  });

  test("is believed unseen only where the URL says so", async () => {
    for (const settings of ["sslmode=no-verify", "uselibpqcompat=true&sslmode=require"]) {
      expect(await connect(postgres.urlOf(BY_PASSWORD, settings))).toBe(`${BY_PASSWORD} by TLS`);
    }
  });

  test("refuses a client in plain text, and the start says so in one line without the password", async () => {
    for (const settings of ["", "sslmode=disable"]) {
      const DATABASE_URL = postgres.urlOf(BY_PASSWORD, settings);
      const { exitCode, stdout, stderr } = await runEngine({ DATABASE_URL, DATA_DIR: "/nonexistent" });
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(
        /^sentinel: DATABASE_URL: postgres:\S+ cannot be used \([^\n]*no encryption[^\n]*\n$/,
      );
      expect(stdout + stderr).not.toContain(PASSWORD);
    }
  });

  test("ends the start of an engine that it does not accept, or that does not accept it", async () => {
    const wrong = [
      [postgres.urlOf(BY_PASSWORD, verified).replace(PASSWORD, "wr0ng"), /password authentication failed/],
      [postgres.urlOf(BY_PASSWORD, `sslmode=require&sslrootcert=${stranger.caFile}`), /certificate/],
    ] as const;
    for (const [DATABASE_URL, reason] of wrong) {
      const { exitCode, stdout, stderr } = await runEngine({ DATABASE_URL, DATA_DIR: "/nonexistent" });
      expect(exitCode).toBe(1);
      expect(stderr).toMatch(/^sentinel: DATABASE_URL: [^\n]+\n$/);
      expect(stderr).toMatch(reason);
      expect(stdout + stderr).not.toMatch(/wr0ng|s3cret/);
    }
  });
});

test("a Postgres without TLS is not spoken to in plain text by a URL that asks for TLS", async () => {
  await using stack = new AsyncDisposableStack();
  const { openOwnPostgres } = await import("../engine/own-postgres.ts");
  const { url } = await openOwnPostgres(stack);
  for (const mode of ["prefer", "require", "verify-full", "no-verify"]) {
    const { exitCode, stderr } = await runEngine({ DATABASE_URL: `${url}?sslmode=${mode}` });
    expect([mode, exitCode]).toEqual([mode, 1]);
    expect(stderr).toMatch(/^sentinel: DATABASE_URL: [^\n]*does not support SSL[^\n]*\n$/);
  }
});
