import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { tempDir } from "../fixtures/temp-dir.ts";
import { closingBlock, Tally } from "./tally.ts";
import { filesOf, groupsOf, MAIN_JOB, SLOWEST, TIERS, type TierName } from "./tiers.ts";

const ROOT = resolve(import.meta.dir, "../..");
const NAMES = Object.keys(TIERS) as TierName[];

test("every test file is in one tier, and in one group of it", () => {
  const all = [...new Bun.Glob("test/**/*.test.ts").scanSync(ROOT)].sort();
  const grouped = NAMES.flatMap((name) => groupsOf(name, filesOf(name, ROOT)).flat());
  expect(grouped.sort()).toEqual(all);
});

test("a file that starts an engine or asks for a part, at one remove too, is in the engine tier", async () => {
  await using stack = new AsyncDisposableStack();
  const { path, remove } = await tempDir("tiers");
  stack.defer(remove);
  const files = {
    "test/fixtures/parts.ts": "export const partOrSkip = 1;",
    "test/room/helper.ts": `import { partOrSkip } from "../fixtures/parts.ts"; export const helped = partOrSkip;`,
    "test/room/needs.test.ts": `import { helped } from "./helper.ts"; console.log(helped);`,
    "test/room/pure.test.ts": `import type { helped } from "./helper.ts"; export type Helped = typeof helped;`,
    "test/faults/breaks.test.ts": "",
  };
  for (const [name, text] of Object.entries(files)) await Bun.write(join(path, name), text);
  expect(NAMES.map((name) => filesOf(name, path))).toEqual([
    ["test/room/pure.test.ts"],
    ["test/room/needs.test.ts"],
    ["test/faults/breaks.test.ts"],
  ]);
});

test("the files that are named are there", () => {
  expect([...MAIN_JOB, ...SLOWEST].filter((file) => !existsSync(join(ROOT, file)))).toEqual([]);
  expect(filesOf("test", ROOT)).toEqual(expect.arrayContaining(MAIN_JOB));
});

test("a run says what it left out, before its totals", () => {
  const { text } = closingBlock(new Tally(), new Map(), 1000, [
    "3 files of another tier: bun run test:other",
  ]);
  expect(text.split("\n").slice(-3)).toEqual([
    "       left out: 3 files of another tier: bun run test:other",
    "       took 0 min 1 s",
    "0 passed, 0 failed",
  ]);
});
