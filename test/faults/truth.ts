import { expect } from "bun:test";
import { type Answer, bodyOf, histogram, reserve } from "../engine/buyers.ts";
import type { Facts } from "../engine/facts.ts";
import { until } from "../fixtures/until.ts";

/** The first to meet a hung database wait for a statement, a connection and the doubt about it (RECOVERY_DEADLINE_MS). */
const SLOWEST_ANSWER_MS = 15_000;
/** "At once", on a machine that is busy with other things. */
const QUICK_ANSWER_MS = 1000;
const ASKED_AT_ONCE = 50;

/** Seats beyond the demo's 1,000, up to `count`, so that the engine learns of them only when they are asked for. */
export async function addSeats(facts: Facts, count: number): Promise<void> {
  await facts.query(
    `insert into seats (event_id, seat_number, price_minor)
     select 1, 'S-' || number, 15000 from generate_series(1001, $1::int) as number order by number`,
    [count],
  );
}

/** The contract's refusal of a request that may be sent again. */
export function expectBusy(answer: Answer): void {
  expect(answer.status).toBe(503);
  expect(answer.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
  expect(bodyOf(answer)).toEqual({
    message: "System is busy, please try again",
    seatId: answer.seatId,
    status: "RETRY",
    reason: expect.stringMatching(/^(unavailable|overloaded)$/),
  });
}

/**
 * Each seat was asked for once: a buyer who was told 201 has it, under that reservation; one who was told 503
 * does not, though it may take the engine a moment to give back what was committed behind its back.
 */
export async function expectTruth(facts: Facts, answers: Answer[]): Promise<void> {
  const counts = histogram(answers);
  expect(Object.keys(counts).filter((each) => each !== "201" && each !== "503")).toEqual([]);
  for (const answer of answers) if (answer.status === 503) expectBusy(answer);
  const refused = answers.filter(({ status }) => status === 503).map(({ seatId }) => seatId);
  await until("no seat is reserved whose buyer was told 503", async () => {
    const [found] = await facts.query<{ count: number }>(
      "select count(*)::int from seats where status <> 'available' and id = any($1::bigint[])",
      [refused],
    );
    return found?.count === 0;
  });
  const seats = await facts.seats();
  const broken = answers
    .filter(({ status }) => status === 201)
    .filter((answer) => {
      const { seatId, reservationId } = bodyOf(answer);
      const seat = seats.get(seatId);
      return seat?.status !== "reserved" || seat.reservationId !== reservationId;
    });
  expect(broken.map(bodyOf)).toEqual([]);
  await facts.expectSound();
}

/** While the database is unavailable: every answer is a bounded 503, soon an immediate one, and health says so. */
export async function expectAway(url: string, nextSeat: () => number): Promise<void> {
  const status = async (path: string) => (await fetch(url + path)).status;
  const startedAt = performance.now();
  expectBusy(await reserve(url, nextSeat()));
  expect(performance.now() - startedAt).toBeLessThan(SLOWEST_ANSWER_MS);
  await until("it is not ready", async () => (await status("/health/ready")) === 503);
  const later = await Promise.all(
    Array.from({ length: ASKED_AT_ONCE }, async () => {
      const askedAt = performance.now();
      expectBusy(await reserve(url, nextSeat()));
      return performance.now() - askedAt;
    }),
  );
  expect(Math.max(...later)).toBeLessThan(QUICK_ANSWER_MS);
  expect(await status("/health/live")).toBe(200);
  const health = await fetch(`${url}/actuator/health`);
  expect(health.status).toBe(503);
  expect(await health.json()).toMatchObject({ status: "DOWN", components: { db: { status: "DOWN" } } });
}

/** Gives seats back as an operator's tool would: one change, one version, one row, in the shape that every writer has. */
export const giveBack = ({ query }: Facts, seatIds: number[]) =>
  query(
    `with freed as (
       update seats s set status = 'available', version = s.version + 1, reservation_id = null,
              last_epoch = (select max(epoch) from ledger_epochs), last_txid = pg_current_xact_id()
       from seats old where s.id = any($1) and old.id = s.id
       returning s.id, s.version, s.event_id, s.last_epoch, old.reservation_id
     ), gone as (
       update reservations r set status = 'cancelled' from freed where r.id = freed.reservation_id
     )
     insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id)
     select last_epoch, id, version, event_id, 'CANCELLED', reservation_id from freed`,
    [seatIds],
  );
