import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { ask, bearer, makeKey } from "../access/keyed.ts";
import { startChild } from "../fixtures/child.ts";
import { findProgram, type Missing, partOrSkip } from "../fixtures/parts.ts";
import { tempDir } from "../fixtures/temp-dir.ts";
import { untilWithin } from "../fixtures/until.ts";
import { useEngine } from "../fixtures/use-engine.ts";
import { logLines } from "./engines.ts";
import { seedOf } from "./random.ts";
import { UNLIMITED } from "./reservations.ts";

/** Random requests of each kind to each operation. The listed ones, which find more, are as many in any case. */
const EXAMPLES = 4;
/** The longest of the runs takes 45 s on two slow cores. */
const RUN_TIMEOUT_MS = 480_000;
const PUBLISHED_DEADLINE_MS = 30_000;
const ERROR_LEVEL = 50;

const CONFIG = join(import.meta.dir, "schemathesis.toml");
/** Answers of an engine that does not guess what it is told, and a document that does not either. */
const EVERY_ANSWER = [
  ...["not_a_server_error", "status_code_conformance", "content_type_conformance"],
  ...["response_headers_conformance", "response_schema_conformance", "unsupported_method"],
].join(",");

const schemathesis = await partOrSkip("schemathesis", findSchemathesis);

/** SCHEMATHESIS is the path of the program; else it is looked for on PATH. */
function findSchemathesis(): string | Missing {
  const { SCHEMATHESIS: path } = process.env;
  return path
    ? (Bun.which(path) ?? { missing: `SCHEMATHESIS (${path}) is no program` })
    : findProgram("schemathesis");
}

interface Run {
  args: string[];
  examples: number;
  key?: string;
}

describe.skipIf(!schemathesis)(
  "an engine that schemathesis asks whatever its OpenAPI document allows and forbids",
  () => {
    const sale = useEngine({ env: UNLIMITED });
    // After `useEngine`, which sets a shorter timeout.
    setDefaultTimeout(RUN_TIMEOUT_MS + 10_000);
    const seed = seedOf("schemathesis.test.ts");
    let key: string;

    beforeAll(async () => {
      key = await makeKey(sale.env, "admin");
    });

    /** Runs it to its end in a folder of its own, where it finds no other settings. */
    async function run({ args, examples, key: apiKey }: Run): Promise<void> {
      const dir = await tempDir("schemathesis");
      const { PATH = "", HOME = "" } = process.env;
      const child = startChild(
        "schemathesis",
        [
          ...[schemathesis ?? "", "--no-color", ...(apiKey ? ["--config-file", CONFIG] : [])],
          ...["run", `${sale.url}/openapi.json`, "--continue-on-failure"],
          ...["--seed", String(seed), "--max-examples", String(examples), "--request-timeout", "20"],
          ...args,
        ],
        { cwd: dir.path, env: { PATH, HOME, ...(apiKey && { SENTINEL_API_KEY: apiKey }) } },
      );
      try {
        await untilWithin(RUN_TIMEOUT_MS, "schemathesis ends", () => child.exitCode() !== undefined);
        if (child.exitCode() !== 0)
          throw new Error(`schemathesis found with seed ${seed}:\n${child.output()}`);
        // So that a run that asked nothing is seen to be none.
        expect(child.output()).toMatch(/\d+ generated, \d+ passed/);
      } finally {
        await child.end("SIGTERM", 1000);
        await dir.remove();
      }
    }

    console.warn("schemathesis does not ask for the stream of an event's changes, which does not end");
    const withoutStream = ["--exclude-operation-id", "eventChanges"];

    test("keeps to its document under an administrator's key", async () => {
      // It would revoke its own key, which is among those that it is shown.
      await run({
        args: [...withoutStream, "--exclude-operation-id", "revokeApiKey"],
        examples: EXAMPLES,
        key,
      });
      expect((await ask(sale.url, "GET", "/api/v1/admin/api-keys", { headers: bearer(key) })).status).toBe(
        200,
      );
    });

    test("keeps to its document where keys are made and revoked", async () => {
      await run({
        args: ["--include-operation-id", "createApiKey", "--include-operation-id", "revokeApiKey"],
        examples: EXAMPLES,
        key,
      });
    });

    test("keeps to its document without a key", async () => {
      // What only an administrator may ask is refused before anything of it is read.
      const args = [...withoutStream, "--exclude-path-regex", "^/api/v1/admin/", "--checks", EVERY_ANSWER];
      await run({ args, examples: EXAMPLES / 2 });
    });

    // The last one: it looks back at what all others have left.
    test("is well after it all, sold soundly, and logged no fault", async () => {
      expect((await ask(sale.url, "GET", "/actuator/health")).json).toMatchObject({ status: "UP" });
      await sale.facts.allPublished(PUBLISHED_DEADLINE_MS);
      await sale.facts.expectSound();
      // It came through to the sale itself.
      const changes = await sale.facts.query<{ status: string; count: number }>(
        "select status::text, count(*)::int from seat_events group by status order by status",
      );
      console.log("schemathesis changed seats:", JSON.stringify(changes));
      expect(changes.map(({ status }) => status)).toEqual(expect.arrayContaining(["HELD", "RESERVED"]));
      expect(logLines(sale.engine).filter(({ level }) => level >= ERROR_LEVEL)).toEqual([]);
    });
  },
);
