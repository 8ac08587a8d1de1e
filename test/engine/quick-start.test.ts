import { afterAll, beforeAll, expect, test } from "bun:test";
import { join, resolve } from "node:path";
import { type Engine, startEngine } from "../fixtures/engine.ts";
import { tempDir } from "../fixtures/temp-dir.ts";

const ROOT = resolve(import.meta.dir, "../..");
const SCRIPT_DEADLINE_MS = 40_000;

let dataDir: Awaited<ReturnType<typeof tempDir>>;
let engine: Engine;
beforeAll(async () => {
  dataDir = await tempDir("quick-start");
  engine = await startEngine({ DATA_DIR: dataDir.path });
});
afterAll(async () => {
  await engine.stop();
  await dataDir.remove();
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

test("the README's walk from an event to a confirmed seat and its history works when pasted", async () => {
  const { PATH = "", HOME = "" } = process.env;
  const shell = Bun.spawn(["bash", "-euo", "pipefail", "-c", await readWalk()], {
    cwd: ROOT,
    env: { PATH, HOME, DATA_DIR: dataDir.path },
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
});
