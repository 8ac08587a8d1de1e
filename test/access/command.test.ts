import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { runEngine } from "../engine/command.ts";
import { openEngine } from "../engine/engines.ts";
import { openDatabase } from "../fixtures/postgres.ts";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { ask, bearer, idOf, KEY } from "./keyed.ts";

const ROOT = resolve(import.meta.dir, "../..");
const LIST = "/api/v1/admin/api-keys";
const stack = useStack();

const keys = (env: Record<string, string>, ...args: string[]) => runEngine(env, { args: ["keys", ...args] });

describe("the keys command", () => {
  test("works on the embedded Postgres while no engine runs, and leaves none running", async () => {
    const env = { DATA_DIR: await openFolder(stack, "keys") };
    const made = await keys(env, "create", "--role", "seller", "--name", "box office");
    expect(made.exitCode).toBe(0);
    expect(made.stdout).toMatch(/^\S+\n$/);
    const key = made.stdout.trim();
    expect(key).toMatch(KEY);
    expect(made.stderr).not.toContain(key);
    expect(existsSync(join(env.DATA_DIR, "postgres/postmaster.pid"))).toBe(false);

    const listed = await keys(env, "list");
    const [, row = "", ...rest] = listed.stdout.trimEnd().split("\n");
    expect(row).toMatch(new RegExp(`^${idOf(key)}  seller  \\S+Z  -\\s+box office$`));
    expect(rest).toEqual([]);
    expect(listed.stdout).not.toContain(key.slice(42));

    expect(await keys(env, "revoke", idOf(key))).toMatchObject({ exitCode: 0, stdout: "" });
    expect((await keys(env, "list")).stdout).toMatch(/seller {2}\S+Z {2}\S+Z {2}box office/);
  });

  test("works beside an engine on its embedded Postgres, which knows the key at once", async () => {
    const env = { DATA_DIR: await openFolder(stack, "keys") };
    const engine = await openEngine(stack, env);
    const made = await keys(env, "create", "--role", "admin");
    expect(made.exitCode).toBe(0);
    // It asks there at once, and does not wait for the engine to end first.
    expect(made.ms).toBeLessThan(5000);
    const key = made.stdout.trim();
    expect((await ask(engine.url, "GET", LIST, { headers: bearer(key) })).status).toBe(200);
    expect(engine.exitCode()).toBeUndefined();
    await engine.stop();
  });

  test("has the key alone on standard output of `bun start`, the installation before it included", async () => {
    const database = await openDatabase(stack);
    const { PATH = "", HOME = "" } = process.env;
    const started = Bun.spawnSync([process.execPath, "run", "start", "keys", "create", "--role", "reader"], {
      cwd: ROOT,
      env: { PATH, HOME, DATABASE_URL: database.url },
      stdout: "pipe",
      stderr: "pipe",
    });
    expect(started.stdout.toString().trimEnd()).toMatch(KEY);
  });

  test("refuses an id that no key has, on standard error", async () => {
    const database = await openDatabase(stack);
    const ended = await keys({ DATABASE_URL: database.url }, "revoke", crypto.randomUUID());
    expect(ended).toMatchObject({ exitCode: 1, stdout: "" });
    expect(ended.stderr).toStartWith("sentinel: keys: there is no API key");
  });

  test("names DATABASE_URL, and not its password, when nobody answers there", async () => {
    const ended = await keys({ DATABASE_URL: "postgres://admin:s3cret@127.0.0.1:1/sale" }, "list");
    expect(ended).toMatchObject({ exitCode: 1, stdout: "" });
    expect(ended.stderr).toContain("DATABASE_URL: ");
    expect(ended.stderr).not.toContain("s3cret");
  });
});
