import { describe, expect, test } from "bun:test";
import type pg from "pg";
import type { KeyClaim } from "../../src/postgres/claims.ts";
import { within } from "../fixtures/until.ts";
import { changeWithClaims, newKey, take, taken, type Wish, wishFor, withoutCommit } from "./reservations.ts";
import { useEvent, useSale } from "./use-sale.ts";

/** Far less than the statement may take: who answers within it has waited for nobody. */
const AT_ONCE_MS = 1000;

const sale = useSale();
const { freeSeats } = useEvent(sale, { holdLimitSeconds: 86_400 });

const sessions = (count: number) => Promise.all(Array.from({ length: count }, () => sale.session()));
const wish = async (more: Partial<Wish>) => wishFor(sale, await freeSeats(1), more);
const takeOne = async (session: pg.PoolClient, wanted: Wish) => (await take(session, wanted))[0]?.[0];

const stored = (claim: KeyClaim) =>
  sale.rows<{ reservationId: string; fingerprint: string }>(
    `select reservation_id as "reservationId", fingerprint from idempotency_keys where scope = $1 and key = $2`,
    [claim.scope, claim.key],
  );
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
});

describe("the key of a change", () => {
  const held = async () => taken(sale, await freeSeats(2));

  test.each([
    ["commit", "replayed"],
    ["rollback", "done"],
  ] as const)(
    "is waited for by nobody while somebody decides on it, and after the %s it is %s",
    async (end, verdict) => {
      const key = newKey();
      const reservationId = await held();
      const [holder, other] = (await sessions(2)) as [pg.PoolClient, pg.PoolClient];
      await changeWithClaims(withoutCommit(holder), reservationId, "confirm", key);
      const meanwhile = changeWithClaims(other, reservationId, "confirm", key);
      expect(await within(meanwhile, AT_ONCE_MS, "the change is answered")).toBe("claimed");
      await holder.query(end);
      expect(await changeWithClaims(other, reservationId, "confirm", key)).toMatchObject({ verdict });
      expect(await stored(key)).toHaveLength(1);
    },
  );
});
