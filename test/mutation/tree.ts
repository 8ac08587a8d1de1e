import { cpSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join, relative } from "node:path";
import { functionNames, type SyntaxNode } from "./function-names.ts";
import type { Mutant } from "./mutants.ts";

const HERE = import.meta.dir;
const LEFT_OUT = new Set(["node_modules", ".git", ".cache", "data"]);
/** Texts and SQL are strings here; to empty one says little. An object without its members rarely compiles. */
const EXCLUDED_OPERATORS = ["StringLiteral", "ObjectLiteral"];

/** A copy of the code in which each mutant can be switched on; see `in-tree/recorder.ts`. */
export interface MutatedTree {
  path: string;
  mutants: Mutant[];
}

/** The used part of `@stryker-mutator/instrumenter`, which the project itself does not install. */
interface Instrumenter {
  instrument(
    files: { name: string; mutate: true; content: string }[],
    options: { plugins: null; excludedMutations: string[]; ignorers: [] },
  ): Promise<{ files: { content: string }[]; mutants: StrykerMutant[] }>;
}
interface StrykerMutant {
  id: string;
  fileName: string;
  mutatorName: string;
  replacement: string;
  status?: string;
  location: Record<"start" | "end", { line: number; column: number }>;
}
interface Parsed {
  program: SyntaxNode;
  comments: { start: number; end: number }[];
}
type Parse = (text: string, options: { sourceType: "module"; plugins: string[] }) => Parsed;

/** Copies the code below `root` and mutates `files` in the copy. Rooms have a copy each, so two can be tested at once. */
export async function mutatedTree(root: string, room: string, files: string[]): Promise<MutatedTree> {
  const path = join(root, ".cache/mutation", room);
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { recursive: true });
  for (const entry of new Bun.Glob("*").scanSync({ cwd: root, onlyFiles: false, dot: true })) {
    if (!LEFT_OUT.has(entry)) cpSync(join(root, entry), join(path, entry), { recursive: true });
  }
  symlinkSync(join(root, "node_modules"), join(path, "node_modules"));
  cpSync(join(HERE, "in-tree"), join(path, "mutation"), { recursive: true });

  await install();
  const texts = new Map<string, string>();
  for (const file of files) texts.set(file, await Bun.file(join(root, file)).text());
  const { Instrumenter } = await import(join(HERE, "node_modules/@stryker-mutator/instrumenter"));
  const instrumenter: Instrumenter = new Instrumenter(silentLog);
  const result = await instrumenter.instrument(
    [...texts].map(([name, content]) => ({ name, mutate: true, content })),
    { plugins: null, excludedMutations: EXCLUDED_OPERATORS, ignorers: [] },
  );
  for (const [index, file] of files.entries()) {
    const recorder = relative(join(file, ".."), "mutation/recorder.ts");
    const imported = recorder.startsWith(".") ? recorder : `./${recorder}`;
    await Bun.write(join(path, file), `import "${imported}";\n${result.files[index]?.content}`);
  }
  return { path, mutants: await describe(texts, result.mutants) };
}

async function install(): Promise<void> {
  const child = Bun.spawn([process.execPath, "install", "--frozen-lockfile", "--ignore-scripts"], {
    cwd: HERE,
    stdio: ["ignore", "ignore", "pipe"],
  });
  if ((await child.exited) !== 0) throw new Error(await new Response(child.stderr).text());
}

const silentLog = new Proxy({}, { get: (_, method) => () => !String(method).startsWith("is") });

async function describe(texts: Map<string, string>, mutants: StrykerMutant[]): Promise<Mutant[]> {
  const { parse }: { parse: Parse } = await import(join(HERE, "node_modules/@babel/parser"));
  const sources = new Map([...texts].map(([file, text]) => [file, sourceOf(text, parse)]));
  return mutants
    .filter(({ status }) => status !== "Ignored")
    .flatMap(({ id, fileName, mutatorName, replacement, location }) => {
      const source = sources.get(fileName);
      if (!source) return [];
      const start = source.offset(location.start);
      const end = source.offset(location.end);
      return {
        id,
        file: fileName,
        line: location.start.line + 1,
        functionName: source.functionName(start, end),
        operator: mutatorName,
        original: source.plain(start, end),
        replacement: onOneLine(replacement),
      };
    });
}

const onOneLine = (text: string) => text.replace(/\s+/g, " ").trim();

function sourceOf(text: string, parse: Parse) {
  const { program, comments } = parse(text, { sourceType: "module", plugins: ["typescript"] });
  const characters = [...Array(text.length).keys()].map((index) => text[index] ?? "");
  for (const { start, end } of comments) characters.fill(" ", start, end);
  const withoutComments = characters.join("");
  const lineStarts = [0, ...[...text.matchAll(/\n/g)].map(({ index }) => index + 1)];
  return {
    functionName: functionNames(program),
    offset: ({ line, column }: { line: number; column: number }) => (lineStarts[line] ?? 0) + column,
    plain: (start: number, end: number) => onOneLine(withoutComments.slice(start, end)),
  };
}
