import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const ROOT = resolve(import.meta.dir, "..");
const LINE_LIMIT = 400;
/** Imports nothing, so every room may import it. */
const ASSERT = "src/runtime/assert.ts";

interface Import {
  /** Both relative to the root, without a leading "./"; a package by its name. */
  from: string;
  to: string;
  isTypeOnly: boolean;
}

const sources = ["src", "workers"].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => join(folder, path)),
);
const textOf = (file: string) => readFileSync(join(ROOT, file), "utf8");

const STATEMENT = /^(?:import|export)\s+(type\s+)?(?:([^;"]*?)\s+from\s+)?"([^"]+)"/gm;

/** Loaded only where it is needed. */
const CALL = /\brequire\("([^"]+)"\)/g;

function importsOf(file: string): Import[] {
  const called = [...textOf(file).matchAll(CALL)].map(([, name = ""]) => ({
    ...{ from: file, to: packageOf(name), isTypeOnly: false },
  }));
  const stated = [...textOf(file).matchAll(STATEMENT)].map(([, type, names = "", specifier = ""]) => ({
    from: file,
    to: specifier.startsWith(".") ? join(dirname(file), specifier) : packageOf(specifier),
    isTypeOnly: type !== undefined || hasOnlyTypes(names),
  }));
  return [...stated, ...called];
}

/** `{ type One, type Other }`; a default or a namespace is a value. */
const hasOnlyTypes = (names: string) =>
  names.startsWith("{") &&
  names
    .replace(/[{}\s]+/g, " ")
    .split(",")
    .every((name) => name.trim() === "" || name.trim().startsWith("type "));

const packageOf = (specifier: string) =>
  specifier.startsWith("node:")
    ? specifier
    : specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");

/** The first folder below `src`, `workers`, or a file that lies in `src` itself. */
const roomOf = (path: string) =>
  path.startsWith("src/") ? (path.split("/")[1] ?? path) : path.split("/")[0];

const imports = sources.flatMap(importsOf);
const inRoom =
  (...rooms: string[]) =>
  (path: string) =>
    rooms.includes(roomOf(path) ?? "");
const told = (list: Import[]) => list.map(({ from, to }) => `${from} imports ${to}`);

describe("the rooms of the code", () => {
  test("are read rightly here: every import that runs is seen, and as one that runs", () => {
    const transpiler = new Bun.Transpiler({ loader: "ts" });
    const seen = new Set(
      imports.filter(({ isTypeOnly }) => !isTypeOnly).map(({ from, to }) => `${from} ${to}`),
    );
    const missed = sources.flatMap((file) =>
      transpiler
        .scanImports(textOf(file))
        .map(({ path }) => `${file} ${path.startsWith(".") ? join(dirname(file), path) : packageOf(path)}`)
        .filter((found) => !seen.has(found)),
    );
    expect(missed).toEqual([]);
    expect(imports.length).toBeGreaterThan(100);
  });

  test.each([
    ["ioredis", ["redis"]],
    ["redlock", ["redis"]],
    ["kafkajs", ["ledger", "proof"]],
    ["pg", ["postgres"]],
    ["drizzle-orm", ["postgres", "proof"]],
    ["piscina", ["threads"]],
    ["prom-client", ["telemetry"]],
    ["pino", ["telemetry"]],
    ["rate-limiter-flexible", ["access", "redis"]],
  ])("alone run %s: %p", (name, rooms) => {
    const strangers = imports.filter(
      ({ from, to, isTypeOnly }) => to === name && !isTypeOnly && !inRoom(...rooms)(from),
    );
    expect(told(strangers)).toEqual([]);
  });

  test("import downwards only, types too", () => {
    /** From the bottom to the top: a room imports from the rooms before it. */
    const LAYERS = [
      ...["venue", "config", "telemetry", "runtime", "postgres", "redis", "threads", "parts"],
      ...["ledger", "proof", "http", "access", "catalogue", "reservations", "live", "engine", "main.ts"],
    ];
    const layerOf = (path: string) => LAYERS.indexOf(roomOf(path) ?? "");
    const rooms = new Set(
      sources.filter((file) => file.startsWith("src/")).map((file) => roomOf(file) ?? ""),
    );
    expect([...rooms].sort()).toEqual([...LAYERS].sort());
    const upward = imports.filter(
      ({ from, to }) =>
        from.startsWith("src/") && to.startsWith("src/") && to !== ASSERT && layerOf(to) > layerOf(from),
    );
    expect(told(upward)).toEqual([]);
  });

  test("include a pure one: venue imports nothing from outside, not even types", () => {
    const outside = imports.filter(
      ({ from, to }) => inRoom("venue")(from) && !inRoom("venue")(to) && to !== ASSERT,
    );
    expect(told(outside)).toEqual([]);
    expect(imports.filter(({ from }) => from === ASSERT)).toEqual([]);
  });

  test("that answer HTTP open no connection", () => {
    const openers = ["src/postgres/connect.ts", "src/postgres/migrate.ts", "src/redis/", "workers/"];
    const strangers = imports.filter(
      ({ from, to }) =>
        (from.endsWith("routes.ts") || from === "src/engine/app.ts" || inRoom("http")(from)) &&
        openers.some((opener) => to.startsWith(opener)),
    );
    expect(told(strangers)).toEqual([]);
  });

  test("read the environment in one place", () => {
    expect(sources.filter((file) => textOf(file).includes("process.env"))).toEqual(["src/main.ts"]);
  });
});

/** Constants of a top-level function that one of its earlier lines refers to, as from a callback. */
function usedBeforeDeclared(file: string): string[] {
  const functions = textOf(file).match(/^(?:export )?(?:async )?function [\s\S]*?^}$/gm) ?? [];
  return functions.flatMap((text) => {
    const body = text.slice(text.search(/\{\n {2}\S/)).replaceAll(/"[^"\n]*"|\/\/.*/g, "");
    const lines = body.split("\n");
    return lines.flatMap((line, number) => {
      const [, declared = ""] = /^ {2}const (\w+|\{[^}]*\}|\[[^\]]*\])/.exec(line) ?? [];
      const names = (declared.match(/\w+/g) ?? []).map((name) => new RegExp(`(?<![.\\w])${name}\\b(?!:)`));
      const isUsed = (earlier: string) => names.some((name) => name.test(earlier));
      return lines.slice(0, number).some(isUsed) ? [`${file}: ${declared}`] : [];
    });
  });
}

describe("the rooms, when they open,", () => {
  test("refer to nothing that opens later, not even in a callback", () => {
    const openers = sources.filter((file) =>
      /\/(open[^/]*|compose|connections|gate|shared-memory)\.ts$/.test(file),
    );
    expect(openers.length).toBeGreaterThan(8);
    expect(openers.flatMap(usedBeforeDeclared)).toEqual([]);
  });
});

describe("the threads", () => {
  test("begin in workers/ and nowhere else", () => {
    const starts = sources.filter((file) => /new (Worker|Piscina)\(/.test(textOf(file)));
    expect(starts).toEqual(["src/threads/thread-pool.ts"]);
    const entries = sources.filter((file) => /\b(parentPort|workerData)\b/.test(textOf(file)));
    expect(entries.filter((file) => dirname(file) !== "workers" && !file.includes("thread-pool"))).toEqual(
      [],
    );
  });

  test("are reached by tasks only: no code on the main thread imports one", () => {
    expect(
      told(imports.filter(({ from, to }) => from.startsWith("src/") && to.startsWith("workers/"))),
    ).toEqual([]);
  });

  test("know nothing of HTTP, of the batcher, or of how the engine is put together", () => {
    const strangers = imports.filter(
      ({ from, to }) =>
        from.startsWith("workers/") &&
        (to === "elysia" ||
          inRoom("http", "access", "catalogue", "reservations", "live", "parts", "engine", "main.ts")(to)),
    );
    expect(told(strangers)).toEqual([]);
  });
});

const EXPORTED_TYPE = /^export (?:abstract )?(?:interface|type|class|enum) (\w+)/gm;

describe("the house", () => {
  test("gives an exported type a name of its own", () => {
    const names = sources.flatMap((file) =>
      [...textOf(file).matchAll(EXPORTED_TYPE)].map(([, name = ""]) => ({ name, file })),
    );
    const shared = [...Map.groupBy(names, ({ name }) => name)]
      .filter(([, places]) => places.length > 1)
      .map(([name, places]) => `${name}: ${places.map(({ file }) => file).join(", ")}`);
    expect(names.length).toBeGreaterThan(100);
    expect(shared).toEqual([]);
  });

  test("has no room for odds and ends", () => {
    const vague = /\/(utils?|helpers?|common|services?|interfaces?|types?|misc|shared|lib)(\/|\.ts$)/;
    expect(sources.filter((file) => vague.test(`/${file}`))).toEqual([]);
  });

  test(`has no file over ${LINE_LIMIT} lines`, () => {
    const long = sources.filter((file) => textOf(file).trimEnd().split("\n").length > LINE_LIMIT);
    expect(long).toEqual([]);
  });
});
