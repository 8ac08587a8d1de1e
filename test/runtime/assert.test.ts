import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { assert, at, never } from "../../src/runtime/assert.ts";

const ROOT = resolve(import.meta.dir, "../..");

describe("assertions", () => {
  test("return an element that is there, and name the list of one that is not", () => {
    expect(at(["a", "b"], 1, "a letter")).toBe("b");
    expect(at([0, null], 0, "a number")).toBe(0);
    expect(() => at(["a"], 1, "a letter")).toThrow("broken invariant: there is a letter at 1 of 1");
  });

  test("throw the name of a broken invariant", () => {
    expect(() => assert(true, "two is even")).not.toThrow();
    expect(() => assert(false, "two is even")).toThrow("broken invariant: two is even");
  });

  test("throw for a value that the types rule out, and show it", () => {
    const unknown = { kind: "half" };
    expect(() => never(unknown as never, "kind of seat")).toThrow('unknown kind of seat: {"kind":"half"}');
  });

  test("end every exhaustive switch: no code lets an unknown value pass", () => {
    const lax = ["src", "workers"].flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
        .filter((path) => path.endsWith(".ts"))
        .map((path) => join(folder, path))
        .filter((path) => readFileSync(join(ROOT, path), "utf8").includes("satisfies never")),
    );
    expect(lax).toEqual([]);
  });
});
