import { beforeEach, describe, expect, test } from "bun:test";
import { makeApiKey } from "../../src/access/api-key.ts";
import { ApiKeys } from "../../src/access/api-keys.ts";
import type { StoredKey } from "../../src/postgres/api-keys.ts";
import { watch } from "../runtime/rounds.ts";

/** A table of keys that can go away, and what was asked of it. */
class Table {
  readonly rows = new Map<string, StoredKey>();
  readonly asked: string[][] = [];
  state: "up" | "away" | "hangs" = "up";

  add(role: StoredKey["role"] = "seller") {
    const { id, key, keyHash } = makeApiKey();
    const row: StoredKey = { id, role, keyHash, revokedAt: null };
    this.rows.set(id, row);
    return { id, key, row };
  }

  read = async (ids: string[]): Promise<StoredKey[]> => {
    this.asked.push(ids);
    if (this.state === "away") throw new Error("away");
    if (this.state === "hangs") return new Promise(() => undefined);
    return ids.flatMap((id) => this.rows.get(id) ?? []).map((row) => ({ ...row }));
  };
}

let table: Table;
let now: number;
let keys: ApiKeys;

beforeEach(() => {
  table = new Table();
  now = 1_000_000;
  keys = new ApiKeys(table.read, () => now);
});

const flushed = async () => {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
};

describe("the API keys in memory", () => {
  test("look a key up once, and then answer at once for a second", async () => {
    const { id, key } = table.add();
    const known = { kind: "known", keyId: id, role: "seller" } as const;
    expect(await keys.find(key)).toEqual(known);
    now += 999;
    expect(keys.find(key)).toEqual(known);
    expect(table.asked).toEqual([[id]]);
  });

  test("look a key in use up once a second, beside the requests", async () => {
    const { id, key, row } = table.add();
    await keys.find(key);
    now += 1500;
    row.revokedAt = new Date();
    expect(keys.find(key)).toMatchObject({ kind: "known" });
    expect(keys.find(key)).toMatchObject({ kind: "known" });
    await flushed();
    expect(table.asked).toEqual([[id], [id]]);
    expect(keys.find(key)).toEqual({ kind: "wrong" });
  });

  test("do not believe a key that was not looked up for 2 s: it may have been revoked long ago", async () => {
    const { key, row } = table.add();
    await keys.find(key);
    row.revokedAt = new Date();
    now += 3_600_000;
    expect(await keys.find(key)).toEqual({ kind: "wrong" });
  });

  test("do not believe one whose row is gone", async () => {
    const { id, key } = table.add();
    await keys.find(key);
    table.rows.delete(id);
    now += 2000;
    expect(await keys.find(key)).toEqual({ kind: "wrong" });
  });

  test("take a new role over", async () => {
    const { key, row } = table.add("reader");
    await keys.find(key);
    row.role = "admin";
    now += 2000;
    expect(await keys.find(key)).toMatchObject({ role: "admin" });
  });

  test("refuse another secret under a known id without asking", async () => {
    const { key } = table.add();
    await keys.find(key);
    const forged = key.slice(0, 42) + "A".repeat(43);
    expect(keys.find(forged)).toEqual({ kind: "wrong" });
    now += 5000;
    expect(keys.find(forged)).toEqual({ kind: "wrong" });
    expect(table.asked).toHaveLength(1);
  });

  test("refuse another secret under an id that was never seen", async () => {
    const { key } = table.add();
    expect(await keys.find(key.slice(0, 42) + "A".repeat(43))).toEqual({ kind: "wrong" });
    expect(await keys.find(key)).toMatchObject({ kind: "known" });
  });

  test("refuse what is no key without asking, and an unknown key with one look-up a second", async () => {
    expect(keys.find("nonsense")).toEqual({ kind: "wrong" });
    const { key } = makeApiKey();
    expect(await keys.find(key)).toEqual({ kind: "wrong" });
    now += 999;
    expect(keys.find(key)).toEqual({ kind: "wrong" });
    expect(table.asked).toHaveLength(1);
    now += 1;
    expect(await keys.find(key)).toEqual({ kind: "wrong" });
    expect(table.asked).toHaveLength(2);
  });

  test("gather the ids that come during a look-up into the next", async () => {
    const made = Array.from({ length: 50 }, () => table.add());
    const found = await Promise.all(made.map(({ key }) => keys.find(key)));
    expect(found.map(({ kind }) => kind)).toEqual(Array(50).fill("known"));
    expect(table.asked.map(({ length }) => length)).toEqual([1, 49]);
  });

  test("go on as they were while the database is unavailable, asking it once a second", async () => {
    const { key, row } = table.add();
    await keys.find(key);
    table.state = "away";
    now += 10_000;
    expect(await keys.find(key)).toMatchObject({ kind: "known" });
    const asked = table.asked.length;
    for (let request = 0; request < 100; request++) {
      expect(keys.find(key)).toMatchObject({ kind: "known" });
    }
    expect(table.asked).toHaveLength(asked);
    table.state = "up";
    row.revokedAt = new Date();
    now += 1000;
    expect(keys.find(key)).toMatchObject({ kind: "known" });
    await flushed();
    expect(keys.find(key)).toEqual({ kind: "wrong" });
  });

  test("cannot say of a key that they never saw while the database is unavailable, and say so at once", async () => {
    table.state = "away";
    const { key } = table.add();
    expect(await keys.find(key)).toEqual({ kind: "unavailable" });
    expect(keys.find(key)).toEqual({ kind: "unavailable" });
    table.state = "up";
    now += 1000;
    expect(keys.find(key)).toEqual({ kind: "unavailable" });
    await flushed();
    expect(keys.find(key)).toMatchObject({ kind: "known" });
  });

  test("wait for a database that hangs half a second at most, and nobody waits after that", async () => {
    const { key } = table.add();
    await keys.find(key);
    table.state = "hangs";
    now += 10_000;
    const startedAt = performance.now();
    const waiting = keys.find(key);
    const unknown = keys.find(table.add().key);
    expect(await waiting).toMatchObject({ kind: "known" });
    expect(await unknown).toEqual({ kind: "unavailable" });
    expect(performance.now() - startedAt).toBeWithin(400, 1500);
    expect(keys.find(key)).toMatchObject({ kind: "known" });
  });

  test("wait longer for a key that they never saw while the database answers others, and for that only", async () => {
    let answers = true;
    let isRead = Promise.withResolvers<void>();
    const slow = new ApiKeys(
      (ids) => isRead.promise.then(() => table.read(ids)),
      () => now,
      () => answers,
    );
    const [known, unknown, other] = [table.add(), table.add(), table.add()];
    isRead.resolve();
    await slow.find(known.key);
    isRead = Promise.withResolvers();
    now += 10_000;
    const startedAt = performance.now();
    const waiting = slow.find(unknown.key);
    const told = watch(Promise.resolve(waiting));
    expect(await slow.find(known.key)).toMatchObject({ kind: "known" });
    expect(performance.now() - startedAt).toBeWithin(400, 1500);
    expect(told.isOver).toBe(false);
    isRead.resolve();
    expect(await waiting).toMatchObject({ kind: "known", keyId: unknown.id });
    // A database that answers nobody counts as away.
    isRead = Promise.withResolvers();
    answers = false;
    expect(await slow.find(other.key)).toEqual({ kind: "unavailable" });
  });

  test("look up again what was told to be forgotten", async () => {
    const { id, key, row } = table.add();
    await keys.find(key);
    row.revokedAt = new Date();
    keys.forget(id);
    expect(await keys.find(key)).toEqual({ kind: "wrong" });
  });

  test("remember a bounded number", async () => {
    const first = table.add();
    await keys.find(first.key);
    for (let count = 0; count < 10_000; count += 1000) {
      await Promise.all(Array.from({ length: 1000 }, () => keys.find(table.add().key)));
    }
    table.state = "away";
    expect(await keys.find(first.key)).toEqual({ kind: "unavailable" });
  });
});
