import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { chmod, cp, mkdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { reserve } from "../engine/buyers.ts";
import { asOrdinaryUser, runEngine } from "../engine/command.ts";
import { openEngine } from "../engine/engines.ts";
import { findRoot, partOrSkip } from "../fixtures/parts.ts";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";

// Several starts each.

const isRoot = (await partOrSkip("root", findRoot)) !== undefined;
const ordinaryUser = asOrdinaryUser();

const stack = useStack();
/** As root's home on a fresh machine: nobody else may enter it. */
let home: string;
/** Of an engine that has sold seat 2. */
let dataDir: string;

beforeAll(async () => {
  home = await openFolder(stack, "home");
  await chmod(home, 0o700);
  dataDir = join(home, "data");
  expect(await statusOf(dataDir)).toBe(201);
});

/** What an engine there answers to a buyer of seat 2. */
async function statusOf(folder: string): Promise<number> {
  await using own = new AsyncDisposableStack();
  const engine = await openEngine(own, { DATA_DIR: folder });
  const { status } = await reserve(engine.url, 2);
  expect(await engine.stop()).toBe(0);
  return status;
}

describe.skipIf(!isRoot)("the data of an engine that root starts below a folder of mode 0700", () => {
  test("lies in DATA_DIR, and is the same after a restart and when others may enter the folder", async () => {
    expect((await stat(join(dataDir, "postgres/base"))).uid).not.toBe(0);
    expect(await statusOf(dataDir)).toBe(409);
    await chmod(home, 0o755);
    expect(await statusOf(dataDir)).toBe(409);
    await chmod(home, 0o700);
  });

  test("is what `verify` and `keys` read", async () => {
    const verified = await runEngine({ DATA_DIR: dataDir }, { args: ["verify"] });
    expect([verified.exitCode, verified.stderr]).toEqual([0, ""]);
    expect(verified.stdout).toContain("1 rows");
    const made = await runEngine({ DATA_DIR: dataDir }, { args: ["keys", "create", "--role", "reader"] });
    const listed = await runEngine({ DATA_DIR: dataDir }, { args: ["keys", "list"] });
    expect(listed.stdout).toContain(/API key (\S+)/.exec(made.stderr)?.[1] ?? "no id");
  });

  test("is in a copy of DATA_DIR that root has made, and gone when that is deleted", async () => {
    const copy = join(home, "copy");
    await cp(dataDir, copy, { recursive: true });
    expect((await stat(join(copy, "postgres"))).uid).toBe(0);
    expect(await statusOf(copy)).toBe(409);
    await rm(copy, { recursive: true });
    expect(await statusOf(copy)).toBe(201);
  });

  test("is not opened by another user, who hears whose it is", async () => {
    if (!ordinaryUser?.length) return;
    await chmod(home, 0o755);
    for (const args of [[], ["verify"]]) {
      const ended = await runEngine({ DATA_DIR: dataDir, HOME: "/" }, { args, as: ordinaryUser });
      expect(ended.stderr).toMatch(/^sentinel: DATA_DIR: .+\n$/);
      expect(ended.exitCode).toBeGreaterThan(0);
    }
    await chmod(home, 0o700);
  });
});

describe.skipIf(!isRoot)("a database that an older version has put outside of DATA_DIR", () => {
  test("is reported with the command that moves it, never replaced, and sells on when it is moved", async () => {
    const folder = join(home, "older");
    await cp(dataDir, folder, { recursive: true });
    const former = join("/var/lib/sentinel", Bun.hash(folder).toString(36), "postgres");
    await mkdir(dirname(former), { recursive: true });
    stack.defer(() => rm(dirname(former), { recursive: true, force: true }));
    await rename(join(folder, "postgres"), former);

    for (const args of [[], ["keys", "list"], ["verify"]]) {
      const ended = await runEngine({ DATA_DIR: folder }, { args });
      expect(ended.stderr).toMatch(/^sentinel: DATA_DIR: .+\n$/);
      expect(ended.stderr).toContain(former);
      expect(ended.exitCode).toBeGreaterThan(0);
      expect(existsSync(join(folder, "postgres"))).toBe(false);
    }
    const { stderr } = await runEngine({ DATA_DIR: folder });
    const [, command = ""] = /then run (.*?);/.exec(stderr) ?? [];
    expect(Bun.spawnSync(["sh", "-c", command]).exitCode).toBe(0);
    expect(await statusOf(folder)).toBe(409);
  });

  test("is named at the start where DATA_DIR has another one", async () => {
    const former = join("/var/lib/sentinel", Bun.hash(dataDir).toString(36), "postgres");
    await mkdir(former, { recursive: true });
    stack.defer(() => rm(dirname(former), { recursive: true, force: true }));
    await using own = new AsyncDisposableStack();
    const engine = await openEngine(own, { DATA_DIR: dataDir });
    expect(engine.output()).toContain(`an older version left an unused database in ${former}`);
  });
});
