import { writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import { join, resolve } from "node:path";
import { RUN } from "../../src/config/command-line.ts";
import { readOptions } from "../../src/config/command-options.ts";
import { type Mutant, named, type RoomResult, type Status, sample, type TestedMutant } from "./mutants.ts";
import { comparison, scoreTable, survivorList } from "./report.ts";
import { measuredTests, type RunResult, type TestFile, tryMutant } from "./test-runs.ts";
import { type MutatedTree, mutatedTree } from "./tree.ts";

/**
 * Mutation testing of the core rooms: changes one expression at a time and sees whether the room's tests notice.
 * Stryker's instrumenter makes the mutants, in a copy of the code in `.cache/mutation`; each one is tested by the
 * files of its room that reach it. `rooms.json` says which sources and tests make a room.
 * SQL is not mutated, nor any other text.
 */

const USAGE = `Usage: ${RUN} run test:mutation [ROOM...]
       ${RUN} run test:mutation --compare BEFORE.json AFTER.json
  --limit N      test at most N mutants a room (120); the same code has the same ones
  --out FILE     write the results there as JSON
  --resume       take over what FILE already has
  --like FILE    test the mutants of this result first, as far as they still exist
  --root FOLDER  another working copy, with its packages installed
  --rooms FILE   another table of rooms`;

const LOWEST_PRIORITY = 19;
const INTERRUPTED = 130;
const STATUS: Record<RunResult, Status> = { passed: "survived", failed: "killed", timeout: "timeout" };

interface Room {
  sources: string[];
  tests: string[];
}

const { values, positionals } = readOptions(process.argv.slice(2), {
  compare: { type: "boolean" },
  like: { type: "string" },
  limit: { type: "string", default: "120" },
  out: { type: "string" },
  resume: { type: "boolean" },
  rooms: { type: "string", default: join(import.meta.dir, "rooms.json") },
  root: { type: "string", default: resolve(import.meta.dir, "../..") },
});
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
if (values.compare) {
  const [before = "", after = ""] = positionals;
  const { text, lost } = comparison(await readResult(before), await readResult(after));
  console.log(text);
  process.exit(lost === 0 ? 0 : 1);
}

setPriority(LOWEST_PRIORITY);
// Ends the test that runs.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(INTERRUPTED));
const root = resolve(values.root);
const rooms: Record<string, Room> = await Bun.file(values.rooms).json();
const names = positionals.length > 0 ? positionals : Object.keys(rooms);
const unknown = names.find((name) => !(name in rooms));
if (unknown) throw new Error(`there is no room "${unknown}"; the rooms are ${Object.keys(rooms).join(", ")}`);
const earlier = new Set(values.like ? testedIn(await readResult(values.like)).map(({ name }) => name) : []);
const results = values.resume && values.out ? await readResult(values.out).catch(() => []) : [];

for (const name of names) await testRoom(name, rooms[name] ?? { sources: [], tests: [] });
console.log(`${survivorList(results)}\n\n${scoreTable(results)}`);

async function testRoom(room: string, { sources, tests }: Room): Promise<void> {
  const tree = await mutatedTree(root, room, filesOf(sources));
  const files = await measuredTests(tree.path, filesOf(tests), console.log);
  const all = named(tree.mutants);
  const chosen = sample(all, Number(values.limit), earlier);
  console.log(`${room}: ${chosen.size} of ${all.size} mutants, ${files.length} test files`);
  const done = new Map(testedIn(results).map((mutant) => [mutant.name, mutant]));
  const result: RoomResult = { room, total: all.size, mutants: [] };
  const waiting: [string, Mutant][] = [];
  for (const [name, mutant] of chosen) {
    const known = done.get(name);
    if (known) result.mutants.push({ ...known, ...mutant });
    else waiting.push([name, mutant]);
  }
  save(result);
  for (const [name, mutant] of waiting) {
    result.mutants.push({ name, ...mutant, ...(await testMutant(tree, mutant, files)) });
    save(result);
  }
}

/** The results so far, so that a run that is interrupted can be resumed. */
function save(result: RoomResult): void {
  result.mutants.sort((one, other) => Number(one.id) - Number(other.id));
  const index = results.findIndex(({ room }) => room === result.room);
  results.splice(index === -1 ? results.length : index, 1, result);
  if (values.out) writeFileSync(values.out, `${JSON.stringify(results, undefined, 1)}\n`);
}

async function testMutant(
  tree: MutatedTree,
  mutant: Mutant,
  files: TestFile[],
): Promise<{ status: Status; seconds: number }> {
  if (!files.some(({ reaches }) => reaches.has(mutant.id))) return { status: "uncovered", seconds: 0 };
  const startedAt = performance.now();
  let result = await tryMutant(tree.path, mutant.id, files);
  // A machine that is busy with other work is slow as well.
  if (result === "timeout") result = await tryMutant(tree.path, mutant.id, files);
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  console.log(`${STATUS[result]} ${seconds} s ${mutant.file}:${mutant.line} ${mutant.operator}`);
  return { status: STATUS[result], seconds };
}

function testedIn(list: RoomResult[]): TestedMutant[] {
  return list.flatMap(({ mutants }) => mutants);
}

function filesOf(globs: string[]): string[] {
  return globs.flatMap((glob) => [...new Bun.Glob(glob).scanSync(root)]).sort();
}

async function readResult(path: string): Promise<RoomResult[]> {
  return Bun.file(path).json();
}
