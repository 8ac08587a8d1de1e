import { describe, expect, test } from "bun:test";
import { z } from "zod";
import { readJson } from "../../src/http/json-body.ts";
import { plainText } from "../../src/http/plain-text.ts";

const schema = z.strictObject({
  name: plainText(10),
  count: z.int().min(1).max(5).optional(),
  price: z.number().positive().optional(),
  list: z.array(z.boolean()).min(1).max(2).optional(),
  kind: z.enum(["one", "other"]).optional(),
  either: z.union([z.int(), z.array(z.strictObject({ label: plainText(5) }))], "must be either").optional(),
});

async function read(body: string | Uint8Array<ArrayBuffer>, type: string | null = "application/json") {
  const headers = new Headers(type === null ? {} : { "content-type": type });
  const request = new Request("http://localhost/", { method: "POST", body, headers });
  if (type === null) request.headers.delete("content-type");
  const answer = await readJson(request, schema, 65_536);
  if (!("problem" in answer)) return answer.value;
  const { status, detail } = (await answer.problem.json()) as { status: number; detail: string };
  return `${status} ${detail}`;
}

describe("a body", () => {
  test.each([
    ["of this type", "application/json"],
    ["with a charset", "application/json; charset=utf-8"],
    ["of a type that is JSON by its suffix", "application/merge-patch+json"],
  ])("%s is read", async (_, type) => {
    expect(await read('{"name":"Zoë"}', type)).toEqual({ name: "Zoë" });
  });

  test.each(["text/plain", "application/x-www-form-urlencoded", "application/jsonx", null])(
    "of type %p is refused",
    async (type) => {
      expect(await read('{"name":"a"}', type)).toBe("415 Content-Type: must be application/json.");
    },
  );

  test.each([
    ["", "400 body: must be a JSON object, not empty."],
    [" \n", "400 body: must be a JSON object, not empty."],
    ['{"name":', "400 body: is not valid JSON."],
    ["[".repeat(60_000), "400 body: is not valid JSON."],
    ["[]", "400 body: must be a JSON object."],
    ["null", "400 body: must be a JSON object."],
    ['"name"', "400 body: must be a JSON object."],
  ])("that is no JSON object is refused: %.20s", async (body, expected) => {
    expect(await read(body)).toBe(expected);
  });

  test("that is no UTF-8 is refused", async () => {
    expect(await read(new Uint8Array([0x7b, 0xff, 0x7d]))).toBe(
      "400 body: must be UTF-8 without the replacement character U+FFFD, and sent whole.",
    );
  });

  test.each([
    ["{}", "name: is required."],
    ['{"name":1}', "name: must be text."],
    ['{"name":null}', "name: must be text."],
    ['{"name":""}', "name: must have at least 1 character."],
    ['{"name":"12345678901"}', "name: must have at most 10 characters."],
    ['{"name":"a","count":0}', "count: must be at least 1."],
    ['{"name":"a","count":6}', "count: must be at most 5."],
    ['{"name":"a","count":1.5}', "count: must be a whole number."],
    ['{"name":"a","price":0}', "price: must be more than 0."],
    ['{"name":"a","price":1e999}', "price: must be a number."],
    ['{"name":"a","list":[]}', "list: must have at least 1 entry."],
    ['{"name":"a","list":[true,0]}', "list.1: must be true or false."],
    ['{"name":"a","kind":"third"}', 'kind: must be one of "one", "other".'],
    ['{"name":"a","other":1}', "other: is not a known field."],
    ['{"name":"a","__proto__":1}', "__proto__: is not a known field."],
    ['{"name":"a","either":"x"}', "either: must be either."],
    ['{"name":"a","either":[{"label":""}]}', "either.0.label: must have at least 1 character."],
    ['{"name":"a","either":[{"label":"a","size":1}]}', "either.0.size: is not a known field."],
  ])("%s is refused, and its field named", async (body, detail) => {
    expect(await read(body)).toBe(`400 ${detail}`);
  });

  test.each(["a\u0000b", "a\nb", "\ud800", " a", "a\u007f"])("has no text like %j", async (name) => {
    expect(await read(JSON.stringify({ name }))).toMatch(/^400 name: must be plain text/);
  });
});
