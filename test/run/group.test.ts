import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { tempDir } from "../fixtures/temp-dir.ts";
import { type GroupResult, runGroup } from "./group.ts";
import { closingBlock, readSkips, Tally } from "./tally.ts";

const PASSES_AND_SKIPS = `
import { appendFileSync } from "node:fs";
import { test } from "bun:test";
appendFileSync(process.env.SENTINEL_SKIPS, JSON.stringify({ file: Bun.main, reason: "no such part" }) + "\\n");
test("passes", () => {});
test.skip("is skipped", () => {});
test.todo("is to be done");
`;
/** Bun repeats the failures at the end of a report as long as this one. */
const FAILS = `
import { expect, test } from "bun:test";
for (let number = 1; number <= 30; number++) test("passes too " + number, () => {});
test("fails", () => expect("the seat").toBe("taken"));
test.skip("is skipped without a reason", () => {});
`;
const THROWS = `throw new Error("outside of any test");`;

let root: string;
let remove: () => Promise<void>;

beforeAll(async () => {
  ({ path: root, remove } = await tempDir("run"));
  const files = { "a.test.ts": PASSES_AND_SKIPS, "b.test.ts": FAILS, "c.test.ts": THROWS };
  for (const [name, text] of Object.entries(files)) await Bun.write(join(root, "test", name), text);
});
afterAll(() => remove());

const run = async (...names: string[]): Promise<{ result: GroupResult; text: string; isGreen: boolean }> => {
  const skipsFile = join(root, `${names.join("-")}.skips`);
  const group = names.map((name) => `test/${name}.test.ts`);
  const result = await runGroup({ group, lane: 0, root, skipsFile, signal: new AbortController().signal });
  const tally = new Tally();
  tally.add(group, result);
  return { result, ...closingBlock(tally, readSkips(skipsFile, root), 61_000) };
};

test("a run ends with each reason for a skip once, with its count, and the totals", async () => {
  const { text, isGreen } = await run("a");
  expect(text.split("\n")).toEqual([
    "",
    "     2 skipped: no such part",
    "       took 1 min 1 s",
    "1 passed, 0 failed, 2 skipped",
  ]);
  expect(isGreen).toBe(true);
});

test("a failed test is shown with its file and its cause", async () => {
  const { result, isGreen } = await run("b");
  expect(result).toMatchObject({ passed: 30, failed: 1 });
  expect(result.failures.join("\n")).toMatch(
    /^--- test\/b\.test\.ts\n[\s\S]*"the seat"[\s\S]*\(fail\) fails/,
  );
  expect(isGreen).toBe(false);
});

test("a test that is skipped without a reason fails the run", async () => {
  const { text } = await run("b");
  expect(text).toContain("1 skipped: NO REASON GIVEN in test/b.test.ts");
  expect(text).toEndWith("30 passed, 2 failed, 1 skipped");
});

test("a file that throws outside of its tests fails the run, whatever the other files do", async () => {
  const { result, text } = await run("c", "a");
  expect(text).toEndWith("1 passed, 1 failed, 2 skipped");
  expect(result.failures.join("\n")).toContain("outside of any test");
});
