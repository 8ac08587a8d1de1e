import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cp, mkdir, readdir, symlink } from "node:fs/promises";
import { delimiter, join, resolve } from "node:path";
import { partOrSkip } from "../fixtures/parts.ts";
import { openDatabase } from "../fixtures/postgres.ts";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { openEngine } from "./engines.ts";
import {
  type Document,
  HEY_API,
  narrowingModule,
  OPENAPI_TYPESCRIPT,
  problemsOf,
} from "./openapi-clients/narrowing.ts";
import type { Sale } from "./openapi-clients/shops/sale.ts";
import {
  findTools,
  javaCommand,
  javacCommand,
  javaJars,
  npmProgram,
  pythonProgram,
  run,
} from "./openapi-clients/tools.ts";

const SHOPS = join(import.meta.dir, "openapi-clients/shops");
/** The project's own compiler, by far the fastest. */
const TSC = resolve(import.meta.dir, "../../node_modules/.bin/tsc");
const TSCONFIG = {
  compilerOptions: {
    ...{ strict: true, noUncheckedIndexedAccess: true, noEmit: true, allowImportingTsExtensions: true },
    ...{ target: "ESNext", module: "Preserve", moduleResolution: "bundler" },
    ...{ lib: ["ESNext", "DOM", "DOM.Iterable"], types: [] },
  },
  include: ["*.ts", "hey-api"],
};
/** Without tests and pages about the client, which nothing here uses. */
const JAVA_SOURCES_ONLY = "apiTests=false,modelTests=false,apiDocs=false,modelDocs=false";

const tools = await partOrSkip("openapi-clients", findTools);

describe.skipIf(!tools)("the OpenAPI document", () => {
  const stack = useStack();
  // After `useStack`, which sets a shorter timeout.
  setDefaultTimeout(300_000);
  const { dir: toolsDir, java } = tools ?? { dir: "", java: "" };
  const found = { dir: toolsDir, java };
  let url: string;
  /** Holds the document and everything that is made of it. */
  let dir: string;
  let problems: ReturnType<typeof problemsOf>;

  beforeAll(async () => {
    const database = await openDatabase(stack, "empty");
    ({ url } = await openEngine(stack, { DATABASE_URL: database.url }));
    dir = await openFolder(stack, "openapi-clients");
    const document = await (await fetch(`${url}/openapi.json`)).text();
    await Bun.write(join(dir, "openapi.json"), document);
    problems = problemsOf(JSON.parse(document) as Document);
    await cp(SHOPS, dir, { recursive: true });
    await symlink(join(toolsDir, "npm/node_modules"), join(dir, "node_modules"));
  });

  /** Buys seats that are free, then the same again; `buy` is a shop. */
  async function expectSales(buy: (seatIds: number[]) => Promise<Sale>, seatIds: number[]): Promise<void> {
    const [first = 0] = seatIds;
    expect(await buy(seatIds)).toEqual({
      ...{ sold: true, seatIds },
      total: { amountMinor: 15_000 * seatIds.length, currency: "EUR" },
    });
    expect(await buy([first])).toEqual({
      ...{ sold: false, why: [`${first} is reserved`], alternatives: expect.any(Array) },
    });
  }

  // Each of them runs other programs, which take most of their time on a core of their own.
  test.concurrent("passes redocly's recommended rules and spectral:oas without an error or a warning", async () => {
    await Bun.write(join(dir, "spectral.json"), JSON.stringify({ extends: ["spectral:oas"] }));
    const [redocly, spectral] = await Promise.all([
      run("redocly", [...npmProgram(found, "@redocly/cli/bin/cli.js"), "lint", "openapi.json"], dir),
      run(
        "spectral",
        [
          ...npmProgram(found, "@stoplight/spectral-cli/dist/index.js"),
          ...["lint", "openapi.json", "--ruleset", "spectral.json", "--fail-severity", "warn"],
        ],
        dir,
      ),
    ]);
    expect(redocly).not.toMatch(/you have \d+ warning/i);
    expect(spectral).toContain("No results");
  });

  test.concurrent("lets strict TypeScript shops narrow each problem by its type, and sell", async () => {
    const generators: [name: string, program: string, args: string[]][] = [
      [
        "openapi-typescript",
        "openapi-typescript/bin/cli.js",
        ["openapi.json", "-o", "openapi-typescript/sentinel.d.ts"],
      ],
      [
        "hey-api",
        "@hey-api/openapi-ts/bin/run.js",
        [
          "-i",
          "openapi.json",
          "-o",
          "hey-api",
          "-p",
          "@hey-api/client-fetch",
          "@hey-api/typescript",
          "@hey-api/sdk",
        ],
      ],
    ];
    await mkdir(join(dir, "openapi-typescript"));
    await Promise.all(
      generators.map(([name, program, args]) => run(name, [...npmProgram(found, program), ...args], dir)),
    );
    expect(problems.size).toBeGreaterThan(30);
    await Bun.write(join(dir, "narrowing-openapi-fetch.ts"), narrowingModule(problems, OPENAPI_TYPESCRIPT));
    await Bun.write(join(dir, "narrowing-hey-api.ts"), narrowingModule(problems, HEY_API));
    await Bun.write(join(dir, "tsconfig.json"), JSON.stringify(TSCONFIG));
    await run("tsc", [TSC, "-p", "."], dir);

    const shops = { "openapi-fetch.ts": [1, 2], "hey-api.ts": [3, 4] };
    for (const [shop, seatIds] of Object.entries(shops)) {
      const { buy } = await import(join(dir, shop));
      await expectSales((wanted) => buy(url, wanted), seatIds);
    }
  });

  test.concurrent("gives openapi-python-client a client that sells", async () => {
    await Bun.write(join(dir, "python.json"), JSON.stringify({ post_hooks: [] }));
    await run(
      "openapi-python-client",
      [
        pythonProgram(found, "openapi-python-client"),
        ...["generate", "--path", "openapi.json", "--config", "python.json", "--fail-on-warning"],
        ...["--meta", "none", "--output-path", "sentinel"],
      ],
      dir,
    );
    const python = pythonProgram(found, "python");
    await expectSales(
      async (seatIds) =>
        JSON.parse(await run("the Python shop", [python, "shop.py", url, ...seatIds.map(String)], dir)),
      [5, 6],
    );
  });

  test.concurrent("gives openapi-generator a Java client that compiles and sells", async () => {
    const { generator, libraries } = await javaJars(found);
    await run(
      "openapi-generator",
      [
        ...javaCommand(found, "-jar", generator, "generate", "-g", "java", "--library", "native"),
        ...["-i", "openapi.json", "-o", "java", "--global-property", JAVA_SOURCES_ONLY],
      ],
      dir,
    );
    const sources = (await readdir(join(dir, "java/src/main"), { recursive: true }))
      .filter((name) => name.endsWith(".java"))
      .map((name) => join("java/src/main", name));
    await Bun.write(join(dir, "sources.txt"), ["Shop.java", ...sources].join("\n"));
    const classPath = libraries.join(delimiter);
    await run("javac", javacCommand(found, "-cp", classPath, "-d", "classes", "@sources.txt"), dir);
    await expectSales(
      async (seatIds) =>
        JSON.parse(
          await run(
            "the Java shop",
            javaCommand(found, "-cp", `classes${delimiter}${classPath}`, "Shop", url, ...seatIds.map(String)),
            dir,
          ),
        ),
      [7, 8],
    );
  });
});
