import { expect } from "bun:test";
import { THINK_MS } from "../engine/buyers.ts";
import type { Facts } from "../engine/facts.ts";
import { type Answer, newKey, type Till, tokenOf } from "../engine/reservations.ts";
import { until } from "../fixtures/until.ts";

/** A shop that was told 503 asks on after this long, for other seats. */
const BUSY_PAUSE_MS = 50;

/** Two seats, held and then confirmed, each with an `Idempotency-Key` of its own. */
interface Order {
  seatIds: number[];
  holdKey: Record<string, string>;
  confirmKey: Record<string, string>;
  held: Answer;
  /** Undefined where the hold was not answered 201. */
  confirmed: Answer | undefined;
}

export interface KeyedOrders {
  /** Every order so far, in the order in which they ended. */
  orders: Order[];
  confirmedCount(): number;
  /** No more orders; resolves when all have their answers. */
  stop(): Promise<Order[]>;
}

/** Baskets of two, one after the other from each of `shopCount` shops, until it is stopped. */
export function openOrders(till: Till, nextSeat: () => number, shopCount: number): KeyedOrders {
  const orders: Order[] = [];
  let stopped = false;
  let confirmed = 0;
  const shop = async () => {
    while (!stopped) {
      const order = { seatIds: [nextSeat(), nextSeat()], holdKey: newKey(), confirmKey: newKey() };
      const held = await till.hold({ seatIds: order.seatIds }, order.holdKey);
      const isHeld = held.status === 201;
      const answer = isHeld
        ? await till.act("confirm", held.body, { ...tokenOf(held.body), ...order.confirmKey })
        : undefined;
      orders.push({ ...order, held, confirmed: answer });
      if (answer?.status === 200) confirmed++;
      await Bun.sleep(answer?.status === 200 ? THINK_MS : BUSY_PAUSE_MS);
    }
  };
  const ended = Promise.all(Array.from({ length: shopCount }, shop)).then(() => orders);
  ended.catch(() => undefined);
  return {
    orders,
    confirmedCount: () => confirmed,
    stop: () => {
      stopped = true;
      return ended;
    },
  };
}

/**
 * Nothing but success or "try again" was told; whatever is sent again with its key then succeeds, with the
 * first answer where that was a success, and has had one effect: each seat was held once and reserved once.
 */
export async function expectOneEffect(till: Till, facts: Facts, orders: Order[]): Promise<void> {
  const told = orders.flatMap(({ held, confirmed }) => (confirmed ? [held, confirmed] : [held]));
  const others = told.filter(({ status }) => ![200, 201, 503].includes(status));
  expect(others.map(({ status, text }) => `${status} ${text}`)).toEqual([]);
  const untilDone = (send: () => Promise<Answer>, status: number) =>
    until(`a retry with the same key is answered ${status}`, async () => {
      const answer = await send();
      if (answer.status === status) return answer;
      throw new Error(`${answer.status} ${answer.text}`);
    });
  for (const { seatIds, holdKey, confirmKey, held, confirmed } of orders) {
    const again = await untilDone(() => till.hold({ seatIds }, holdKey), 201);
    if (held.status === 201) expect(again.text).toBe(held.text);
    const headers = { ...tokenOf(again.body), ...confirmKey };
    const done = await untilDone(() => till.act("confirm", again.body, headers), 200);
    if (confirmed?.status === 200) expect(done.text).toBe(confirmed.text);
  }
  const seatIds = orders.flatMap((order) => order.seatIds);
  const stories = await facts.query(
    `select seat_id from seat_events where seat_id = any($1::bigint[]) group by seat_id
     having array_agg(status::text order by version) <> '{HELD,RESERVED}' or count(distinct reservation_id) <> 1`,
    [seatIds],
  );
  expect(stories).toEqual([]);
}
