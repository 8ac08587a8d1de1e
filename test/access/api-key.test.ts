import { afterEach, describe, expect, jest, spyOn, test } from "bun:test";
import crypto from "node:crypto";
import { idOfApiKey, isApiKey, makeApiKey } from "../../src/access/api-key.ts";
import { mayAct, ROLES } from "../../src/http/caller.ts";

describe("an API key", () => {
  afterEach(() => jest.restoreAllMocks());

  test("carries its id and 256 random bits, and is kept as a hash that does not hold it", () => {
    const made = makeApiKey();
    expect(made.key).toMatch(/^sentinel_[0-9a-f]{32}_[\w-]{43}$/);
    expect(idOfApiKey(made.key)).toBe(made.id);
    expect(made.keyHash).toMatch(/^[0-9a-f]{64}$/);
    expect(made.keyHash).toBe(crypto.createHash("sha256").update(made.key).digest("hex"));
    expect(makeApiKey().key.slice(42)).not.toBe(made.key.slice(42));
  });

  test.each([
    "",
    "sentinel",
    `sentinel_${"0".repeat(32)}_${"a".repeat(42)}`,
    `sentinel_${"0".repeat(32)}_${"a".repeat(44)}`,
    `sentinel_${"0".repeat(31)}g_${"a".repeat(43)}`,
    `sentinel_${"0".repeat(32)}_${"a".repeat(43)}\n`,
    `xsentinel_${"0".repeat(32)}_${"a".repeat(43)}`,
  ])("is none where the shape is wrong (%p)", (text) => {
    expect(idOfApiKey(text)).toBeUndefined();
  });

  test("is recognised by its hash, and one with any other character is not", () => {
    const { key, keyHash } = makeApiKey();
    const hash = Buffer.from(keyHash, "hex");
    expect(isApiKey(key, hash)).toBe(true);
    for (let at = 0; at < key.length; at++) {
      const other = key.slice(0, at) + (key[at] === "a" ? "b" : "a") + key.slice(at + 1);
      expect(isApiKey(other, hash)).toBe(false);
    }
    expect(isApiKey(key, Buffer.alloc(0))).toBe(false);
  });

  test("is compared in constant time", () => {
    const compare = spyOn(crypto, "timingSafeEqual");
    const { key, keyHash } = makeApiKey();
    isApiKey(key, Buffer.from(keyHash, "hex"));
    isApiKey(makeApiKey().key, Buffer.from(keyHash, "hex"));
    expect(compare).toHaveBeenCalledTimes(2);
  });

  test("of a role may do what the roles below it may, and nothing above", () => {
    const may = ROLES.map((role) => ROLES.filter((needed) => mayAct(role, needed)));
    expect(may).toEqual([["reader"], ["reader", "seller"], ["reader", "seller", "admin"]]);
  });
});
