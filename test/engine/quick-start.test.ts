import { beforeAll, expect, test } from "bun:test";
import { join, resolve } from "node:path";
import { findProgram, partOrSkip } from "../fixtures/parts.ts";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { type Engine, openEngine } from "./engines.ts";

const ROOT = resolve(import.meta.dir, "../..");
const SCRIPT_DEADLINE_MS = 40_000;

const curl = await partOrSkip("curl", () => findProgram("curl"));
const bash = await partOrSkip("curl", () => findProgram("bash"));

const stack = useStack();
let dataDir: string;
let engine: Engine;
beforeAll(async () => {
  dataDir = await openFolder(stack, "quick-start");
  engine = await openEngine(stack, { DATA_DIR: dataDir });
});

/** As in the README, but at this engine's address and without a download of Bun. */
async function readWalk(): Promise<string> {
  const readme = await Bun.file(join(ROOT, "README.md")).text();
  const walk = /<!-- walk -->\n```sh\n([\s\S]*?)```/.exec(readme)?.[1];
  if (!walk) throw new Error("the README has no walk");
  return walk
    .replace("http://localhost:8080", engine.url)
    .replace("npx -y bun@1.4.5 start", `"${process.execPath}" src/main.ts`);
}

test.skipIf(!curl || !bash)(
  "the README's walk from an event to a confirmed seat and its history works when pasted",
  async () => {
    const { PATH = "", HOME = "" } = process.env;
    const shell = Bun.spawn(["bash", "-euo", "pipefail", "-c", await readWalk()], {
      cwd: ROOT,
      env: { PATH, HOME, DATA_DIR: dataDir },
      stdout: "pipe",
      stderr: "pipe",
      timeout: SCRIPT_DEADLINE_MS,
    });
    const [output, errors] = await Promise.all([
      new Response(shell.stdout).text(),
      new Response(shell.stderr).text(),
    ]);
    expect({ exitCode: await shell.exited, errors }).toMatchObject({ exitCode: 0 });
    const [held, confirmed, history] = output
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(held).toMatchObject({ status: "HELD", total: { amountMinor: 26_700, currency: "EUR" } });
    expect(held.seats.map(({ row }: { row: string }) => row)).toEqual(["A", "A", "A"]);
    expect(confirmed).toMatchObject({ reservationId: held.reservationId, status: "CONFIRMED" });
    const { reservationId } = held;
    expect(history.history).toMatchObject([
      { status: "HELD", reservationId },
      { status: "RESERVED", reservationId },
    ]);
  },
);
