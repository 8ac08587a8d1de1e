import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, readConfig } from "../../src/config/config.ts";
import { tempDir } from "../fixtures/temp-dir.ts";

/** Every knob that is secret, with a value that it takes. */
const SECRETS = {
  DATABASE_URL: "postgres://user:s3cret@host:5432/sale",
  REDIS_URL: "redis://:s3cret@host:6379",
  TOKEN_SECRET: "s3cret-of-thirty-two-characters-and-more",
  KAFKA_SASL_PASSWORD: "s3cret",
};
const KNOBS = {
  DATABASE_URL: "databaseUrl",
  REDIS_URL: "redisUrl",
  TOKEN_SECRET: "tokenSecret",
  KAFKA_SASL_PASSWORD: "kafkaSaslPassword",
} as const;
const SASL = {
  KAFKA_SECURITY_PROTOCOL: "SASL_SSL",
  KAFKA_SASL_MECHANISM: "PLAIN",
  KAFKA_SASL_USERNAME: "user",
};

describe.each(Object.entries(SECRETS))("the secret %s", (variable, value) => {
  let folder: Awaited<ReturnType<typeof tempDir>>;
  beforeAll(async () => {
    folder = await tempDir("secrets");
  });
  afterAll(() => folder.remove());

  const fileOf = (content: string | Uint8Array) => {
    const path = join(folder.path, crypto.randomUUID());
    writeFileSync(path, content);
    return path;
  };
  const others = variable.startsWith("KAFKA") ? SASL : {};
  const read = (env: Record<string, string>) =>
    readConfig({ ...others, ...env })[KNOBS[variable as keyof typeof KNOBS]];
  const refusal = (env: Record<string, string>): string => {
    try {
      read(env);
    } catch (error) {
      if (error instanceof ConfigError) return error.message;
      throw error;
    }
    throw new Error("it was accepted");
  };

  test.each(["", "\n", "\r\n"])(
    "is read from the file that its _FILE names, without a line end (%j)",
    (end) => {
      expect(read({ [`${variable}_FILE`]: fileOf(value + end) })).toEqual(read({ [variable]: value }));
    },
  );

  test("is not taken from two places, but an empty one counts as not set", () => {
    const path = fileOf(value);
    expect(refusal({ [variable]: value, [`${variable}_FILE`]: path })).toBe(
      `${variable}_FILE: ${variable} is set too: set one of the two`,
    );
    expect(read({ [variable]: "", [`${variable}_FILE`]: path })).toEqual(read({ [variable]: value }));
    expect(read({ [variable]: value, [`${variable}_FILE`]: "" })).toEqual(read({ [variable]: value }));
  });

  test("is refused in one line that names the variable where the file is not there, a folder, empty, huge or of several lines", () => {
    mkdirSync(join(folder.path, "a-folder"), { recursive: true });
    const files = {
      "cannot be read (ENOENT)": join(folder.path, "none"),
      "cannot be read (EISDIR)": join(folder.path, "a-folder"),
      empty: fileOf("\n"),
      "is larger than": fileOf(new Uint8Array(1_048_577).fill(97)),
      "in one line": fileOf(`${value}\n${value}\n`),
    };
    for (const [reason, path] of Object.entries(files)) {
      const message = refusal({ [`${variable}_FILE`]: path });
      expect(message).toStartWith(`${variable}_FILE: must name a file that contains the secret`);
      expect(message).toContain(reason);
      expect(message).not.toMatch(/\n|s3cret/);
    }
  });

  test("that cannot be used is never shown, and the file is what is named", () => {
    const unusable = `s3cret${variable === "KAFKA_SASL_PASSWORD" ? "x".repeat(9000) : ""}`;
    const message = refusal({ [`${variable}_FILE`]: fileOf(unusable) });
    expect(message).toStartWith(`${variable}_FILE: `);
    expect(message).not.toContain("s3cret");
  });
});

test("every knob with a secret in it is one of these", async () => {
  const { describeConfig } = await import("../../src/config/config.ts");
  const secret = describeConfig().filter(({ meaning }) => meaning.includes("_FILE`"));
  expect(secret.map(({ variable }) => variable).sort()).toEqual(Object.keys(SECRETS).sort());
  const named = describeConfig().filter(({ variable }) =>
    /_(URL|SECRET|PASSWORD|TOKEN|CREDENTIALS?)$/.test(variable),
  );
  expect(named.map(({ variable }) => variable).sort()).toEqual(Object.keys(SECRETS).sort());
});
