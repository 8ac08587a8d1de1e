import { beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, readConfig } from "../../src/config/config.ts";
import { kafkaSecurityOf, redisTlsOf } from "../../src/config/credential-relations.ts";
import { type Authority, type Certificate, findOpenssl, openAuthority } from "../fixtures/certificates.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";

const openssl = await partOrSkip("openssl", findOpenssl);

function refusal(env: Record<string, string>): string {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error(`${Object.keys(env)} were accepted`);
}

describe("the URL of Postgres", () => {
  const url = "postgres://user:s3cret@host:5432/sale";
  const read = (settings: string) => readConfig({ DATABASE_URL: url + settings }).databaseUrl;

  test("verifies wherever it asks for TLS, unless it says explicitly that it does not want that", () => {
    for (const mode of ["prefer", "require", "verify-ca", "verify-full"]) {
      expect(read(`?application_name=x&sslmode=${mode}&a=b`)).toBe(
        `${url}?application_name=x&sslmode=verify-full&a=b`,
      );
    }
    for (const kept of [
      "",
      "?sslmode=disable",
      "?sslmode=no-verify",
      "?uselibpqcompat=true&sslmode=require",
    ]) {
      expect(read(kept)).toBe(url + kept);
    }
  });

  test.each(["allow", "required", "", "VERIFY-FULL"])(
    "takes no sslmode that would not be kept (%p)",
    (mode) => {
      expect(refusal({ DATABASE_URL: `${url}?sslmode=${mode}` })).toBe(
        "DATABASE_URL: sslmode must be one of disable, prefer, require, verify-ca, verify-full, no-verify",
      );
    },
  );

  test("takes no setting that the driver would read over, and no file that nothing would use or that is not there", () => {
    for (const setting of ["sslcrl=/crl", "ssl_min_protocol_version=TLSv1.3", "require_auth=scram-sha-256"]) {
      const message = refusal({ DATABASE_URL: `${url}?sslmode=verify-full&${setting}` });
      expect(message).toBe(`DATABASE_URL: ${setting.split("=")[0]} is not supported: remove it`);
    }
    expect(refusal({ DATABASE_URL: `${url}?sslmode=disable&sslrootcert=/ca` })).toMatch(
      /^DATABASE_URL: sslmode is disable/,
    );
    for (const name of ["sslrootcert", "sslcert", "sslkey"]) {
      expect(refusal({ DATABASE_URL: `${url}?sslmode=verify-full&${name}=/no/such` })).toBe(
        `DATABASE_URL: ${name} must be the path of a PEM file; this one cannot be read (ENOENT)`,
      );
    }
  });

  test("does not become plain text by a PGSSLMODE that nobody knows", () => {
    expect(refusal({ PGSSLMODE: "requir" })).toMatch(/^PGSSLMODE: must be one of /);
    expect(() => readConfig({ PGSSLMODE: "require" })).not.toThrow();
  });
});

describe("the user of Kafka", () => {
  const sasl = {
    ...{
      KAFKA_BROKERS: "host:9093",
      KAFKA_SECURITY_PROTOCOL: "SASL_SSL",
      KAFKA_SASL_MECHANISM: "SCRAM-SHA-512",
    },
    ...{ KAFKA_SASL_USERNAME: "user", KAFKA_SASL_PASSWORD: "s3cret" },
  };

  test("is told to Kafka as the protocol says", () => {
    const mechanism = "scram-sha-512";
    const user = { sasl: { mechanism, username: "user", password: "s3cret" } };
    expect(kafkaSecurityOf(readConfig(sasl))).toEqual({ tls: {}, ...user } as object);
    const inPlainText = { ...sasl, KAFKA_SECURITY_PROTOCOL: "SASL_PLAINTEXT" };
    expect(kafkaSecurityOf(readConfig(inPlainText))).toEqual(user as object);
    expect(kafkaSecurityOf(readConfig({ KAFKA_SECURITY_PROTOCOL: "SSL" }))).toEqual({ tls: {} });
    expect(kafkaSecurityOf(readConfig({}))).toEqual({});
  });

  test.each(["KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"] as const)(
    "needs %s exactly where the protocol has one",
    (variable) => {
      expect(refusal({ ...sasl, [variable]: "" })).toBe(
        `${variable}: must be set if KAFKA_SECURITY_PROTOCOL is SASL_SSL`,
      );
      for (const protocol of ["PLAINTEXT", "SSL"]) {
        const message = refusal({ [variable]: sasl[variable], KAFKA_SECURITY_PROTOCOL: protocol });
        expect(message).toBe(
          `${variable}: KAFKA_SECURITY_PROTOCOL is ${protocol}, so it would be unused: correct one of the two`,
        );
      }
    },
  );

  test.each([
    ["KAFKA_SECURITY_PROTOCOL", "TLS"],
    ["KAFKA_SECURITY_PROTOCOL", "ssl"],
    ["KAFKA_SASL_MECHANISM", "GSSAPI"],
  ])("takes no word that nobody knows: %s=%s", (variable, value) => {
    expect(refusal({ ...sasl, [variable]: value })).toMatch(new RegExp(`^${variable}: must be one of`));
  });
});

describe.skipIf(!openssl).each(["REDIS_TLS", "KAFKA_SSL"])("the files of %s", (prefix) => {
  const stack = useStack();
  let authority: Authority;
  let own: Certificate;
  let folder: string;
  beforeAll(async () => {
    authority = await openAuthority(stack);
    own = authority.issue();
    const dir = await openFolder(stack, "pem");
    folder = dir;
  });

  const used = { REDIS_URL: "rediss://host:6380", KAFKA_SECURITY_PROTOCOL: "SSL" };
  const settings = (ca = authority.caFile, { certFile, keyFile } = own) => ({
    ...{ [`${prefix}_CA_FILE`]: ca, [`${prefix}_CERT_FILE`]: certFile, [`${prefix}_KEY_FILE`]: keyFile },
  });

  test("are read once, at the start", () => {
    const config = readConfig({ ...used, ...settings() });
    const files = prefix === "REDIS_TLS" ? redisTlsOf(config) : kafkaSecurityOf(config).tls;
    expect(Object.keys(files ?? {})).toEqual(["ca", "cert", "key"]);
    for (const text of Object.values(files ?? {})) expect(text).toStartWith("-----BEGIN ");
  });

  test("are refused in one line that names the variable where one is not there, of another kind, or damaged", () => {
    const damaged = join(folder, "damaged.crt");
    writeFileSync(damaged, "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
    const ca = `${prefix}_CA_FILE`;
    const cases: [Record<string, string>, string][] = [
      [settings("/no/such"), `${ca}: must be the path of a PEM file; this one cannot be read (ENOENT)`],
      [settings(own.keyFile), `${ca}: must be the path of a PEM file; this one contains no certificate`],
      [settings(damaged), `${ca}: must be the path of a PEM file; the certificate in this one is damaged`],
      [
        { ...settings(), [`${prefix}_KEY_FILE`]: "" },
        `${prefix}_KEY_FILE: must be set with ${prefix}_CERT_FILE`,
      ],
      [
        { ...settings(), [`${prefix}_CERT_FILE`]: "" },
        `${prefix}_CERT_FILE: must be set with ${prefix}_KEY_FILE`,
      ],
      [
        settings(authority.caFile, { ...own, keyFile: authority.issue().keyFile }),
        `${prefix}_KEY_FILE: must be the key of the certificate in ${prefix}_CERT_FILE, without a passphrase`,
      ],
    ];
    for (const [env, message] of cases) {
      const refused = refusal({ ...used, ...env });
      expect(refused).toStartWith(message);
      expect(refused).not.toMatch(/\n|PRIVATE/);
    }
  });

  test("are refused where no connection would be made by TLS", () => {
    const unused = { REDIS_URL: "redis://host:6379", KAFKA_SECURITY_PROTOCOL: "PLAINTEXT" };
    expect(refusal({ ...unused, ...settings() })).toMatch(
      new RegExp(`^${prefix}_CA_FILE: .*, so it would be unused: correct one of the two$`),
    );
  });
});
