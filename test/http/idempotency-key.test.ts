import { describe, expect, test } from "bun:test";
import { claimIn } from "../../src/http/idempotency-key.ts";
import { readJson } from "../../src/http/json-body.ts";
import type { KeyClaim } from "../../src/postgres/claims.ts";
import { holdSchema } from "../../src/reservations/hold-body.ts";

const PATH = "/api/v1/reservations";
const somebody = () => "somebody";

const requestWith = (key: string | undefined, method = "POST") =>
  new Request("http://shop/", { method, headers: key === undefined ? {} : { "idempotency-key": key } });

function claimOf(
  key: string,
  { method = "POST", scope = "address:::1", path = PATH, payload = {} as unknown } = {},
): KeyClaim {
  const claim = claimIn(requestWith(key, method), () => scope, path, payload);
  if (claim === null || claim instanceof Response) throw new Error(`no claim for ${key}`);
  return claim;
}

/** The claim of a body as it came in. */
async function claimOfBody(text: string): Promise<KeyClaim> {
  const { value } = await readJson(
    new Request("http://shop/", {
      ...{ method: "POST", body: text, headers: { "content-type": "application/json" } },
    }),
    holdSchema,
    65_536,
  );
  if (!value) throw new Error(`not a hold: ${text}`);
  return claimOf("k", { payload: value });
}

describe("a key", () => {
  test("is not asked for", () => {
    expect(claimIn(requestWith(undefined), somebody, PATH, {})).toBeNull();
  });

  test.each(["k", "8e03978e-40d5-43dd-bc93-6894a57f9324", '"quoted"', "~!@#$%^&*()", "k".repeat(255)])(
    "may be visible ASCII, up to 255 characters: %s",
    (key) => {
      expect(claimOf(key)).toMatchObject({ key, scope: "address:::1" });
    },
  );

  test.each([
    ["empty", ""],
    ["of 256 characters", "k".repeat(256)],
    ["of two words", "a b"],
    ["with a tab in it", "a\tb"],
    ["no ASCII", "é"],
  ])("that is %s is refused by its name", async (_what, key) => {
    const refusal = claimIn(requestWith(key), somebody, PATH, {});
    if (!(refusal instanceof Response)) throw new Error("it was taken");
    const body = (await refusal.json()) as { type: string; detail: string };
    expect([refusal.status, body.type]).toEqual([400, "urn:sentinel:problem:invalid-request"]);
    expect(body.detail).toMatch(/^Idempotency-Key: must have 1 to 255 /);
  });

  test("is scoped to its caller", () => {
    expect(claimOf("k", { scope: "one" }).scope).not.toBe(claimOf("k", { scope: "other" }).scope);
  });
});

describe("the fingerprint of a request", () => {
  test.each([
    ["in another order", '{"buyerId":"b","eventId":1,"seatIds":[1,2]}'],
    ["with other space", '{ "eventId" : 1,\n "seatIds":[ 1, 2 ], "buyerId":"b" }'],
    ["with other escapes", '{"eventId":1,"seatIds":[1,2],"buyer\\u0049d":"\\u0062"}'],
    ["with other numbers", '{"eventId":1.0,"seatIds":[1e0,2],"buyerId":"b"}'],
  ])("is the same for the same JSON %s", async (_how, text) => {
    const { fingerprint } = await claimOfBody('{"eventId":1,"seatIds":[1,2],"buyerId":"b"}');
    expect((await claimOfBody(text)).fingerprint).toBe(fingerprint);
  });

  test("is the same for best seats in another order of fields, and with the defaults written out", async () => {
    const { fingerprint } = await claimOfBody(
      '{"eventId":1,"bestAvailable":{"quantity":2,"sections":["A"]}}',
    );
    const other = await claimOfBody(
      '{"bestAvailable":{"accessible":"avoid","sections":["A"],"adjacency":"preferred","quantity":2},"eventId":1}',
    );
    expect(other.fingerprint).toBe(fingerprint);
  });

  test("differs with every other payload", async () => {
    const texts = [
      '{"seatIds":[1,2]}',
      '{"seatIds":[2,1]}',
      '{"seatIds":[1]}',
      '{"seatIds":[12]}',
      '{"seatIds":[1,2],"buyerId":"b"}',
      '{"seatIds":[1,2],"eventId":1}',
      '{"preferences":[{"seatIds":[1,2]}]}',
    ];
    const claims = await Promise.all(texts.map(claimOfBody));
    expect(new Set(claims.map(({ fingerprint }) => fingerprint)).size).toBe(texts.length);
  });

  test("differs with method and path", () => {
    const fingerprints = [
      claimOf("k"),
      claimOf("k", { method: "DELETE" }),
      claimOf("k", { path: `${PATH}/confirm` }),
    ].map(({ fingerprint }) => fingerprint);
    expect(new Set(fingerprints).size).toBe(3);
  });

  test("does not depend on key and caller, and is of a fixed length whatever was sent", () => {
    const { fingerprint } = claimOf("k", { payload: { text: "x".repeat(10_000) } });
    expect(claimOf("other", { scope: "another", payload: { text: "x".repeat(10_000) } }).fingerprint).toBe(
      fingerprint,
    );
    expect(fingerprint).toMatch(/^[\da-f]{64}$/);
  });
});
