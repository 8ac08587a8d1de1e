import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import packageJson from "../package.json" with { type: "json" };
import { describeConfig } from "../src/config/config.ts";
import { errorTable } from "../src/http/error-catalogue.ts";

/** What every page says of the repository is true, as far as a machine can tell. */

const ROOT = resolve(import.meta.dir, "..");
const README_LINES = { least: 120, most: 150 };
const DECISION_LIMIT_LINES = 40;
/** Written by the benchmark, and not in the repository. */
const MADE_LATER = ["bench/results/"];
/** Variables of the tests and of other programs. */
const OTHER_VARIABLES = [
  ...[
    "BASE_URL",
    "KAFKA_LIBS_DIR",
    "OPENAPI_CLIENTS_DIR",
    "SECRETS_DIR",
    "SENTINEL_REQUIRE",
    "MIMALLOC_PURGE_DELAY",
    "NODE_ENV",
  ],
  "BUN_GC_TIMER_DISABLE",
];
/** Words of Redis's and Postgres's own that look like variables, and constants of this code. */
const OTHER_WORDS = ["SO_ATTACH_FILTER", "OLDEST_USABLE_MIGRATION", "ZIPF_EXPONENT"];

const textOf = (path: string) => readFileSync(join(ROOT, path), "utf8");
const all = (text: string, shape: RegExp) => [...text.matchAll(shape)].map(([, found = ""]) => found);

interface Page {
  path: string;
  text: string;
  /** Without what stands in code fences. */
  prose: string;
}

const FENCE = /^ *```(\w*)\n([\s\S]*?)^ *```$/gm;
const pages: Page[] = [...new Bun.Glob("**/*.md").scanSync({ cwd: ROOT, dot: true })]
  .filter((path) => !/(^|\/)(node_modules|\.cache|data)\//.test(path))
  .sort()
  .map((path) => ({ path, text: textOf(path), prose: textOf(path).replace(FENCE, "") }));
const pageOf = (path: string): Page => {
  const page = pages.find((each) => each.path === path);
  if (!page) throw new Error(`there is no page ${path}`);
  return page;
};
const fencesOf = ({ text }: Page, language: string) =>
  [...text.matchAll(FENCE)].filter(([, name]) => name === language).map(([, , body = ""]) => body);
/** What `find` finds in the pages, each with its page. */
const faults = (find: (page: Page) => string[]) =>
  pages.flatMap((page) => find(page).map((found) => `${page.path}: ${found}`));

/** The anchors that GitHub gives the headings of a page. */
function anchorsOf({ prose }: Page): string[] {
  const seen = new Map<string, number>();
  return all(prose, /^#{1,6} +(.+)$/gm).map((heading) => {
    const plain = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const anchor = plain.replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");
    const count = seen.get(anchor) ?? 0;
    seen.set(anchor, count + 1);
    return count === 0 ? anchor : `${anchor}-${count}`;
  });
}

interface Link {
  target: string;
  path: string;
  anchor: string | undefined;
}

/** Relative links, with paths from the root. */
const linksOf = ({ path, prose }: Page): Link[] =>
  all(prose, /\]\(([^)\s]+)\)/g)
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [file = "", anchor] = target.split("#");
      return { target, path: file ? join(dirname(path), file) : path, anchor };
    });

describe("the pages", () => {
  test("link only to files and headings that exist", () => {
    expect(pages.length).toBeGreaterThan(40);
    const broken = faults((page) =>
      linksOf(page)
        .filter(({ path, anchor }) => {
          if (!existsSync(join(ROOT, path))) return true;
          return anchor !== undefined && !anchorsOf(pageOf(path)).includes(anchor);
        })
        .map(({ target }) => target),
    );
    expect(broken).toEqual([]);
  });

  test("can all be reached from the README", () => {
    const reached = new Set(["README.md"]);
    for (const path of reached)
      for (const link of linksOf(pageOf(path))) if (link.path.endsWith(".md")) reached.add(link.path);
    expect(pages.map(({ path }) => path).filter((path) => !reached.has(path))).toEqual([]);
  });

  test("name only files and folders that exist", () => {
    const shape =
      /`((?:src|workers|test|docs|bench|drizzle|monitoring|patches|supply-chain|laptop-secrets|\.ci)\/[^`\s*<>{}]*)`/g;
    const missing = faults(({ text }) =>
      all(text, shape).filter((path) => !existsSync(join(ROOT, path)) && !MADE_LATER.includes(path)),
    );
    expect(missing).toEqual([]);
    const beside = faults(({ path, text }) =>
      all(text, /`(\.\.\/[a-z][\w./-]*)`/g).filter((name) => {
        const file = join(ROOT, dirname(path), name);
        return !existsSync(file) && !existsSync(`${file}.test.ts`);
      }),
    );
    expect(beside).toEqual([]);
  });

  test("name only scripts that package.json has", () => {
    const unknown = faults(({ path, text }) =>
      // The changelog names what there was before.
      path === "CHANGELOG.md"
        ? []
        : all(text, /\bbun(?:@[\d.]+)? run ([\w:]+)/g).filter((name) => !(name in packageJson.scripts)),
    );
    expect(unknown).toEqual([]);
  });

  test("name only settings, metrics and alerts that exist", () => {
    const settings = describeConfig().flatMap(({ variable }) => [variable, `${variable}_FILE`]);
    const variables = new Set([...settings, ...OTHER_VARIABLES, ...OTHER_WORDS]);
    const sources = [...new Bun.Glob("{src,workers}/**/*.ts").scanSync(ROOT)].map(textOf).join("\n");
    const rules = [...new Bun.Glob("monitoring/prometheus/rules/*.yml").scanSync(ROOT)]
      .map(textOf)
      .join("\n");
    const isKnown = (name: string) =>
      sources.includes(`"${name.replace(/^sentinel_/, "")}"`) ||
      sources.includes(name) ||
      rules.includes(name);
    const unknown = faults(({ text }) => [
      ...all(text, /`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`/g).filter((name) => !variables.has(name)),
      ...all(text, /\b(sentinel_[a-z]+_[a-z_]+)\b/g).filter((name) => !isKnown(name)),
      ...all(text, /`(Sentinel[A-Z][A-Za-z]+)`/g).filter((name) => !rules.includes(`alert: ${name}\n`)),
    ]);
    expect(unknown).toEqual([]);
  });

  test("name only problems that the API has", () => {
    const table = /^## Problems\n([\s\S]*?)^## /m.exec(pageOf("docs/http-api.md").text)?.[1] ?? "";
    const inTable = all(table, /^\| (`.+?) \|/gm).flatMap((cell) => all(cell, /`([a-z-]{6,})`/g));
    expect(inTable.length).toBeGreaterThan(8);
    const problems = [...new Bun.Glob("src/http/problem*.ts").scanSync(ROOT)].map(textOf).join("\n");
    const isProblem = (slug: string) => new RegExp(`^  "?${slug}"?: \\{`, "m").test(problems);
    const named = pages.flatMap(({ text }) => all(text, /urn:sentinel:problem:([a-z-]+)/g));
    expect([...inTable, ...named].filter((slug) => !isProblem(slug))).toEqual([]);
  });

  test("exist if code, rules or scripts name them", () => {
    const files = [
      ...new Bun.Glob("{src,workers,bench,test,monitoring,supply-chain,.ci}/**/*").scanSync({
        cwd: ROOT,
        dot: true,
      }),
    ];
    const names = files.flatMap((file) =>
      all(textOf(file), /\b((?:docs|bench|test\/faults)\/[\w./-]+\.md)\b/g),
    );
    expect(names.length).toBeGreaterThan(10);
    expect(names.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  test("have JSON that parses, in fences and in the bodies of commands", () => {
    const unreadable = faults((page) =>
      [
        ...fencesOf(page, "json"),
        ...fencesOf(page, "sh").flatMap((fence) => all(fence, /-d '([{[][\s\S]*?)'/g)),
      ].filter((body) => {
        try {
          JSON.parse(body);
          return false;
        } catch {
          return true;
        }
      }),
    );
    expect(unreadable).toEqual([]);
  });

  test("have commands that can be typed where only Node and npm are", () => {
    const untypable = pages
      .filter(({ path }) => path === "README.md" || path.startsWith("docs/") || path.startsWith("bench/"))
      .flatMap((page) => fencesOf(page, "sh").flatMap((fence) => all(fence, /(?<![@\w./-])(bun \S.*)/g)));
    expect(untypable).toEqual([]);
  });
});

describe("the README", () => {
  const readme = pageOf("README.md").text;

  test(`has ${README_LINES.least} to ${README_LINES.most} lines`, () => {
    const lines = readme.trimEnd().split("\n").length;
    expect(lines).toBeGreaterThanOrEqual(README_LINES.least);
    expect(lines).toBeLessThanOrEqual(README_LINES.most);
  });

  test("names the Bun of package.json, CI and the image", () => {
    const pinned = packageJson.packageManager;
    expect(readme).toContain(`npx -y ${pinned} start`);
    expect(readme).toContain(`npx -y ${pinned} run test`);
    expect(textOf(".ci/run")).toContain(pinned);
    expect(textOf("Dockerfile")).toContain(`oven/${pinned.replace("@", ":")}`);
    const others = faults(({ text }) => all(text, /\b(bun@[\d.]+)/g).filter((bun) => bun !== pinned));
    expect(others).toEqual([]);
  });

  test("shows only numbers that the benchmark's page records", () => {
    const table = /^## Three numbers\n([\s\S]*?)^## /m.exec(readme)?.[1] ?? "";
    const numbers = all(table, /\| (\d[\d.,]*)/g);
    expect(numbers).toHaveLength(6);
    const recorded = pageOf("bench/README.md").text;
    expect(numbers.filter((number) => !recorded.includes(` ${number} |`))).toEqual([]);
  });
});

describe("single pages", () => {
  test("the settings are those that the engine prints", () => {
    const { stdout } = Bun.spawnSync([process.execPath, "src/main.ts", "--config-table"], { cwd: ROOT });
    const { text } = pageOf("docs/configuration.md");
    const table = /<!-- settings: bun run configuration -->\n([\s\S]*?)\n<!-- \/settings -->/.exec(text)?.[1];
    expect(table?.trim()).toBe(stdout.toString().trim());
  });

  test("the table of errors is the one that the engine serves", () => {
    const { text } = pageOf("docs/errors.md");
    const table = /<!-- errors: bun run errors -->\n([\s\S]*?)\n<!-- \/errors -->/.exec(text)?.[1];
    expect(table?.trim()).toBe(errorTable());
  });

  test("the changelog begins with this version", () => {
    expect(all(pageOf("CHANGELOG.md").text, /^## \[(.+)\]/gm)[0]).toBe(packageJson.version);
  });

  test(`decisions are numbered, listed, and have at most ${DECISION_LIMIT_LINES} lines`, () => {
    const decisions = pages.filter(({ path }) => /^docs\/decisions\/\d{4}-/.test(path));
    decisions.forEach(({ path, text }, index) => {
      const number = String(index + 1).padStart(4, "0");
      expect(path).toStartWith(`docs/decisions/${number}-`);
      expect(text).toStartWith(`# ${number} `);
      expect([path, text.trimEnd().split("\n").length <= DECISION_LIMIT_LINES]).toEqual([path, true]);
    });
    const listed = linksOf(pageOf("docs/decisions/README.md")).map(({ path }) => path);
    expect(decisions.map(({ path }) => path).filter((path) => !listed.includes(path))).toEqual([]);
  });

  test("README and the way to report a hole lead to the threat model", () => {
    for (const path of ["README.md", "SECURITY.md"])
      expect(linksOf(pageOf(path)).map((link) => link.path)).toContain("docs/threat-model.md");
    expect(linksOf(pageOf("README.md")).map((link) => link.path)).toContain("SECURITY.md");
  });
});
