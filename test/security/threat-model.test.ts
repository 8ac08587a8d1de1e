import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { describeConfig } from "../../src/config/config.ts";
import { RIGHTS } from "./demanding-redis.ts";

const ROOT = resolve(import.meta.dir, "../..");
const textOf = (path: string) => readFileSync(`${ROOT}/${path}`, "utf8");
const page = textOf("docs/threat-model.md");
const named = (shape: RegExp) => [...page.matchAll(shape)].map(([, name = ""]) => name);

test("every file, script and setting that the threat model relies on is there", () => {
  const files = named(/`((?:src|test|workers|docs)\/[\w./-]+)`/g);
  expect(files.length).toBeGreaterThan(30);
  expect(files.filter((path) => !existsSync(`${ROOT}/${path}`))).toEqual([]);
  expect(named(/`bun run ([\w:]+)/g).filter((script) => !(script in packageJson.scripts))).toEqual([]);
  const variables = new Set(describeConfig().flatMap(({ variable }) => [variable, `${variable}_FILE`]));
  const settings = named(/`([A-Z]+(?:_[A-Z]+)*)(?:=[^`]*)?`/g);
  expect(settings.length).toBeGreaterThan(8);
  expect(settings.filter((name) => !variables.has(name))).toEqual([]);
});

test("README and the way to report a hole lead to the threat model", () => {
  for (const path of ["README.md", "SECURITY.md"]) expect(textOf(path)).toContain("(docs/threat-model.md)");
  expect(textOf("README.md")).toContain("(SECURITY.md)");
});

test("README tells the rights in Redis that the tests get along with", () => {
  expect(textOf("README.md")).toContain(`user sentinel on >password ${RIGHTS}\n`);
});
