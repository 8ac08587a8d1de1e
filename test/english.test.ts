import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dir, "..");
const FIRST_SENTENCE_LIMIT_WORDS = 25;

/** A docstring starts with what the symbol does or is, not with a relative clause. */
const BAD_START = /^(Whoever|Who|What|Of|That)\b/;
/** Words of a dialect that nobody speaks. */
const DIALECT = /\b(so many|of late|anew|is away|from now on|whoever)\b/i;

const files = ["src", "workers"].flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => join(folder, path)),
);

interface Comment {
  /** `file:line`. */
  place: string;
  isDoc: boolean;
  text: string;
}

const COMMENT = /^[ \t]*(?:\/\*\*([\s\S]*?)\*\/|\/\/(.*(?:\n[ \t]*\/\/.*)*))/gm;

const comments = files.flatMap((file) => {
  const text = readFileSync(join(ROOT, file), "utf8");
  return [...text.matchAll(COMMENT)].map(({ index, 1: doc, 2: line }): Comment => {
    const words = (doc ?? line ?? "").replace(/\n[ \t]*(?:\*|\/\/)/g, " ").replace(/\s+/g, " ");
    return {
      place: `${file}:${text.slice(0, index).split("\n").length}`,
      isDoc: doc !== undefined,
      text: words.trim(),
    };
  });
});

/** Up to the first full stop before a capital letter, or before a tag such as `@returns`. */
const firstSentenceOf = (text: string) => text.split(/(?<=[.:])\s+(?=[A-Z@`-])|\s+@/, 1)[0] ?? "";

test("comments are found, and most of them are docstrings", () => {
  expect(comments.filter(({ isDoc }) => isDoc).length).toBeGreaterThan(500);
});

test("no docstring starts with a relative clause", () => {
  expect(comments.filter(({ isDoc, text }) => isDoc && BAD_START.test(text))).toEqual([]);
});

test("no comment uses the words that the style rules out", () => {
  expect(comments.filter(({ text }) => DIALECT.test(text))).toEqual([]);
});

test("no test uses them either, in a title or a comment", () => {
  const tests = readdirSync(import.meta.dir, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && path !== "english.test.ts")
    .filter((path) => DIALECT.test(readFileSync(join(import.meta.dir, path), "utf8")));
  expect(tests).toEqual([]);
});

test(`the first sentence of a docstring has at most ${FIRST_SENTENCE_LIMIT_WORDS} words`, () => {
  const long = comments.filter(
    ({ isDoc, text }) =>
      isDoc && !text.startsWith("@") && firstSentenceOf(text).split(" ").length > FIRST_SENTENCE_LIMIT_WORDS,
  );
  expect(long.map(({ place, text }) => `${place} ${firstSentenceOf(text)}`)).toEqual([]);
});
