import type pg from "pg";
import { Model, type Take } from "../spec/model.ts";
import { addSeatsOf, age, change, take, taken, wishFor } from "./reservations.ts";
import type { Sale } from "./sale.ts";

export const OPERATIONS = ["hold", "reserve", "confirm", "release", "extend", "cancel", "expire"] as const;
export type Operation = (typeof OPERATIONS)[number];

/**
 * How "my" reservation stands: `over` is held beyond its end; `lost` is over, and a rival holds its seats;
 * `left` is over, and its seats are free again after a rival had them.
 */
export const STANDINGS = ["none", "held", "over", "lost", "left", "expired", "confirmed"] as const;
export type Standing = (typeof STANDINGS)[number];

/** One seat stands for all of a reservation's, which share its fate here. */
const SEAT = 1;
const MINE = "mine";
const HOLD: Take = { do: "hold", seatIds: [SEAT], buyerId: null, key: null };
const RESERVE: Take = { do: "reserve", seatId: SEAT };

/** The situation that `stageOf` makes, in the model. */
export function situationOf(standing: Standing): Model {
  const terms = {
    cancellable: true,
    buyerLimit: null,
    status: "open",
    onSaleAt: null,
    offSaleAt: null,
  } as const;
  const at = new Model([[1, terms]], new Map([[SEAT, 1]]));
  if (standing === "none") return at;
  at.take(standing === "confirmed" ? RESERVE : HOLD, MINE);
  at.now += standing === "held" ? 60_000 : 3_600_000;
  if (standing === "lost" || standing === "left") at.take(HOLD, "rival");
  if (standing === "left") at.changeReservation({ do: "release", reservationId: "rival", key: null });
  if (standing === "expired") at.expire(MINE);
  return at;
}

interface Step {
  verdict: string;
  next: Model;
}

/** What an operation comes to that nobody disturbs. */
export function undisturbed(at: Model, operation: Operation): Step {
  const next = at.copy();
  next.now++;
  if (operation === "hold" || operation === "reserve") {
    const take = operation === "hold" ? HOLD : RESERVE;
    if (next.isFree(SEAT)) next.take(take, `rival at ${next.now}`);
    return { verdict: at.isFree(SEAT) ? "won" : at.house.seat(SEAT).status, next };
  }
  if (operation === "expire") {
    const isDue = next.due().includes(MINE);
    if (isDue) next.expire(MINE);
    return { verdict: isDue ? "done" : at.house.reservation(MINE) ? "refused" : "missing", next };
  }
  const change = { do: operation, reservationId: MINE, key: null };
  const { kind } = next.changeOutcome(change) as { kind: string };
  if (kind === "done") next.changeReservation(change);
  return { verdict: kind, next };
}

export const changes = ({ verdict }: Step): boolean => verdict === "won" || verdict === "done";

export const isTake = (operation: Operation) => operation === "hold" || operation === "reserve";

/** Whether the second, which would change something alone, may not do so while the first is under way. */
export function isInTheWay(at: Model, first: Operation, second: Operation): boolean {
  const one = undisturbed(at, first);
  if (!changes(undisturbed(at, second))) return false;
  // An expiry that finds no seat of its own any more ends the reservation, and has to do with no seat.
  const isApart = (expiry: Operation, other: Operation) =>
    expiry === "expire" && at.house.seat(SEAT).owner !== MINE && isTake(other);
  if (isApart(first, second) || isApart(second, first)) return false;
  // A confirmation that finds seats gone has locked its reservation to find out.
  return changes(one) || one.verdict === "gone";
}

/** Two seats and my reservation of them, in a situation. */
export interface Stage {
  seatIds: number[];
  mine: string;
}

/** Holds on it can be extended, since some of their time has passed. */
export async function stageOf(sale: Sale, eventId: number, standing: Standing): Promise<Stage> {
  const seatIds = await addSeatsOf(sale, eventId, 2);
  if (standing === "none") return { seatIds, mine: Bun.randomUUIDv7() };
  const mine = await taken(sale, seatIds, { isHold: standing !== "confirmed" });
  if (standing === "confirmed") return { seatIds, mine };
  await age(sale, mine, standing === "held" ? "1 minute" : "1 hour");
  const rival = standing === "lost" || standing === "left" ? await taken(sale, seatIds) : "";
  const session = await sale.pool.connect();
  if (standing === "left") await change(session, rival, "release");
  if (standing === "expired") await change(session, mine, "expire");
  session.release();
  return { seatIds, mine };
}

/** Every seat can be cancelled, for as long as it likes. */
export const STAGE_TERMS = { holdLimitSeconds: 86_400 };

/**
 * Does it as one who has seen the seats before; the verdict is that on the whole.
 * @param made takes the id of a reservation that was made, if only in an open transaction
 */
export async function operate(
  sale: Sale,
  session: pg.PoolClient,
  { seatIds, mine }: Stage,
  operation: Operation,
  made: string[] = [],
): Promise<string> {
  if (operation !== "hold" && operation !== "reserve")
    return (await change(session, mine, operation)).verdict;
  const wish = await wishFor(sale, seatIds, { isHold: operation === "hold" });
  const [verdicts = []] = await take(session, wish);
  if (verdicts[0] === "won") made.push(wish.reservationId);
  return verdicts.find((verdict) => verdict !== "free") ?? "free";
}
