import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import type { KeyClaim } from "../../src/postgres/guards.ts";
import { findReplay } from "../../src/postgres/reservations.ts";
import { expectSound } from "../fixtures/sound.ts";
import { within } from "../fixtures/until.ts";
import {
  addEvent,
  addSeatsOf,
  age,
  change,
  changeGuarded,
  newKey,
  reservationOf,
  take,
  taken,
  type Wish,
  wishFor,
  withoutCommit,
} from "./reservations.ts";
import { openSale, type Sale } from "./sale.ts";

/** Far less than the statement may take: who answers within it has waited for nobody. */
const AT_ONCE_MS = 1000;

let sale: Sale;
let eventId: number;
beforeAll(async () => {
  sale = await openSale();
  eventId = await addEvent(sale, { holdLimitSeconds: 86_400 });
});
afterEach(async () => {
  await sale.endSessions();
  await expectSound(sale.url);
});
afterAll(() => sale.close());

const sessions = (count: number) => Promise.all(Array.from({ length: count }, () => sale.session()));
const wish = async (more: Partial<Wish>) => wishFor(sale, await addSeatsOf(sale, eventId, 1), more);
const takeOne = async (session: pg.PoolClient, wanted: Wish) => (await take(session, wanted))[0]?.[0];

const stored = (claim: KeyClaim) =>
  sale.rows<{ reservationId: string; fingerprint: string }>(
    `select reservation_id as "reservationId", fingerprint from idempotency_keys where scope = $1 and key = $2`,
    [claim.scope, claim.key],
  );
const lived = (claim: KeyClaim, interval: string) =>
  sale.rows("update idempotency_keys set created_at = created_at - $2::interval where key = $1", [
    claim.key,
    interval,
  ]);

describe("the key of a request for seats", () => {
  test("gives one reservation, however many sessions come with it at the same moment", async () => {
    for (let round = 1; round <= 10; round++) {
      const key = newKey();
      const wanted = await Promise.all(Array.from({ length: 4 }, () => wish({ key })));
      const asked = await sessions(wanted.length);
      const verdicts = await Promise.all(
        wanted.map((one, index) => takeOne(asked[index] as pg.PoolClient, one)),
      );
      expect(verdicts.filter((verdict) => verdict === "won")).toHaveLength(1);
      expect(verdicts.filter((verdict) => !["won", "claimed", "replayed"].includes(verdict ?? ""))).toEqual(
        [],
      );
      await sale.endSessions();
    }
  });

  test.each([
    ["commit", "replayed"],
    ["rollback", "won"],
  ] as const)(
    "is waited for by nobody while somebody decides on it, and after the %s it is %s",
    async (end, verdict) => {
      const key = newKey();
      const [holder, other] = (await sessions(2)) as [pg.PoolClient, pg.PoolClient];
      const [first, again, unkeyed] = [await wish({ key }), await wish({ key }), await wish({})];
      expect(await takeOne(withoutCommit(holder), first)).toBe("won");
      const meanwhile = await within(take(other, again, unkeyed), AT_ONCE_MS, "the batch is answered");
      expect(meanwhile).toEqual([["claimed"], ["won"]]);
      await holder.query(end);
      expect(await takeOne(other, again)).toBe(verdict);
      const { reservationId } = end === "commit" ? first : again;
      expect(await stored(key)).toEqual([{ reservationId, fingerprint: "a" }]);
    },
  );

  test("replays the answer as it was, whatever became of the reservation, and changes nothing", async () => {
    const key = newKey();
    const first = await wish({ key });
    const session = await sale.session();
    await take(session, first);
    const answered = await findReplay(drizzle(session), key);
    expect(answered).toMatchObject({ reservationId: first.reservationId, seatIds: first.seatIds });

    await age(sale, first.reservationId, "1 minute");
    await change(session, first.reservationId, "extend");
    await change(session, first.reservationId, "release");
    const again = await wishFor(sale, first.seatIds, { key });
    expect(await takeOne(session, again)).toBe("replayed");
    expect(await reservationOf(sale, again.reservationId)).toBeUndefined();
    expect(await findReplay(drizzle(session), key)).toEqual(answered);
  });

  test("with another request is a mismatch, and of another caller another key", async () => {
    const key = newKey();
    const session = await sale.session();
    await take(session, await wish({ key }));
    const other = { ...key, fingerprint: "b" };
    expect(await takeOne(session, await wish({ key: other }))).toBe("key_mismatch");
    expect(await findReplay(drizzle(session), other)).toBe("key_mismatch");
    expect(await takeOne(session, await wish({ key: { ...other, scope: "client-2" } }))).toBe("won");
  });

  test("counts for 24 hours, and then as new", async () => {
    const key = newKey();
    const session = await sale.session();
    await take(session, await wish({ key }));
    await lived(key, "23 hours 59 minutes");
    expect(await takeOne(session, await wish({ key }))).toBe("replayed");
    await lived(key, "1 minute");
    const fresh = await wish({ key: { ...key, fingerprint: "b" } });
    expect(await findReplay(drizzle(session), key)).toBeUndefined();
    expect(await takeOne(session, fresh)).toBe("won");
    expect(await stored(key)).toEqual([{ reservationId: fresh.reservationId, fingerprint: "b" }]);
    expect(await takeOne(session, fresh)).toBe("replayed");
  });

  test("is not kept for a refusal", async () => {
    const key = newKey();
    const session = await sale.session();
    const limited = await addEvent(sale, { buyerLimitSeats: 1 });
    const gone = await wish({});
    await take(session, gone);
    expect(await takeOne(session, await wishFor(sale, gone.seatIds, { key }))).toBe("held");
    const twoSeats = await addSeatsOf(sale, limited, 2);
    const capped = await wishFor(sale, twoSeats, { key, buyerId: "somebody" });
    expect(await takeOne(session, capped)).toBe("over_limit");
    expect(await takeOne(session, await wishFor(sale, twoSeats, { key }))).toBe("buyer_needed");
    expect(await stored(key)).toEqual([]);
    expect(await takeOne(session, await wish({ key }))).toBe("won");
  });
});

describe("the key of a change", () => {
  const held = async () => taken(sale, await addSeatsOf(sale, eventId, 2));

  test("lets it be done once, and replays it from then on", async () => {
    const key = newKey();
    const session = await sale.session();
    const reservationId = await held();
    expect(await changeGuarded(session, reservationId, "confirm", key)).toMatchObject({ verdict: "done" });
    expect(await stored(key)).toEqual([{ reservationId, fingerprint: "a" }]);
    expect(await changeGuarded(session, reservationId, "confirm", key)).toMatchObject({
      verdict: "replayed",
      status: "confirmed",
      seats: [],
    });
  });

  test("with another request is a mismatch, and changes nothing", async () => {
    const key = newKey();
    const session = await sale.session();
    await changeGuarded(session, await held(), "confirm", key);
    const other = await held();
    const answer = await changeGuarded(session, other, "release", { ...key, fingerprint: "b" });
    expect(answer).toMatchObject({ verdict: "key_mismatch", seats: [] });
    expect((await reservationOf(sale, other))?.status).toBe("held");
  });

  test.each([
    ["commit", "replayed"],
    ["rollback", "done"],
  ] as const)(
    "is waited for by nobody while somebody decides on it, and after the %s it is %s",
    async (end, verdict) => {
      const key = newKey();
      const reservationId = await held();
      const [holder, other] = (await sessions(2)) as [pg.PoolClient, pg.PoolClient];
      await changeGuarded(withoutCommit(holder), reservationId, "confirm", key);
      const meanwhile = changeGuarded(other, reservationId, "confirm", key);
      expect(await within(meanwhile, AT_ONCE_MS, "the change is answered")).toBe("claimed");
      await holder.query(end);
      expect(await changeGuarded(other, reservationId, "confirm", key)).toMatchObject({ verdict });
      expect(await stored(key)).toHaveLength(1);
    },
  );

  test("is not kept for a refusal, and counts for 24 hours", async () => {
    const key = newKey();
    const session = await sale.session();
    const reservationId = await held();
    expect(await changeGuarded(session, reservationId, "cancel", key)).toMatchObject({ verdict: "refused" });
    expect(await stored(key)).toEqual([]);
    await changeGuarded(session, reservationId, "confirm", key);
    await lived(key, "24 hours");
    const cancel = { ...key, fingerprint: "b" };
    expect(await changeGuarded(session, reservationId, "cancel", cancel)).toMatchObject({ verdict: "done" });
    expect(await stored(key)).toEqual([{ reservationId, fingerprint: "b" }]);
  });
});
