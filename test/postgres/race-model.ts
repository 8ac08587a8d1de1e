import type pg from "pg";
import { addEvent, addSeatsOf, age, change, take, taken, wishFor } from "./reservations.ts";
import type { Sale } from "./sale.ts";

export const OPERATIONS = ["hold", "reserve", "confirm", "release", "extend", "cancel", "expire"] as const;
export type Operation = (typeof OPERATIONS)[number];

/**
 * How "my" reservation stands: `over` is held beyond its end; `lost` is over, and a rival holds its seats;
 * `left` is over, and its seats are free again after a rival had them.
 */
export const STANDINGS = ["none", "held", "over", "lost", "left", "expired", "confirmed"] as const;
export type Standing = (typeof STANDINGS)[number];

/** My reservation, and who has its seats. */
export interface Situation {
  mine: "none" | "held" | "over" | "expired" | "confirmed" | "released" | "cancelled";
  seats: "free" | "mine" | "rival's hold" | "rival's";
}

export const SITUATIONS: Record<Standing, Situation> = {
  none: { mine: "none", seats: "free" },
  held: { mine: "held", seats: "mine" },
  over: { mine: "over", seats: "mine" },
  lost: { mine: "over", seats: "rival's hold" },
  left: { mine: "over", seats: "free" },
  expired: { mine: "expired", seats: "free" },
  confirmed: { mine: "confirmed", seats: "mine" },
};

interface Step {
  verdict: string;
  next: Situation;
}

/** What an operation comes to that nobody disturbs. */
export function undisturbed(at: Situation, operation: Operation): Step {
  const stays = (verdict: string): Step => ({ verdict, next: at });
  const done = (mine: Situation["mine"], seats: Situation["seats"]): Step => ({
    verdict: "done",
    next: { mine, seats },
  });
  const isOver = at.mine === "over" || at.mine === "expired";
  switch (operation) {
    case "hold":
    case "reserve":
      if (at.seats === "free" || (at.seats === "mine" && at.mine === "over"))
        return { verdict: "won", next: { ...at, seats: operation === "hold" ? "rival's hold" : "rival's" } };
      return stays(at.seats === "rival's" || at.mine === "confirmed" ? "reserved" : "held");
    case "confirm":
      if (at.mine === "none") return stays("missing");
      if (at.mine === "held") return done("confirmed", "mine");
      if (!isOver) return stays("refused");
      return at.seats.startsWith("rival") ? stays("gone") : done("confirmed", "mine");
    case "release":
      if (at.mine === "none") return stays("missing");
      return at.mine === "held" ? done("released", "free") : stays("refused");
    case "extend":
      if (at.mine === "none") return stays("missing");
      return at.mine === "held" ? done("held", "mine") : stays("refused");
    case "cancel":
      if (at.mine === "none") return stays("missing");
      return at.mine === "confirmed" ? done("cancelled", "free") : stays("refused");
    case "expire":
      if (at.mine === "none") return stays("missing");
      return at.mine === "over" ? done("expired", at.seats === "mine" ? "free" : at.seats) : stays("refused");
    default:
      return operation satisfies never;
  }
}

export const changes = ({ verdict }: Step): boolean => verdict === "won" || verdict === "done";

export const isTake = (operation: Operation) => operation === "hold" || operation === "reserve";

/** Whether the second, which would change something alone, may not do so while the first is under way. */
export function isInTheWay(at: Situation, first: Operation, second: Operation): boolean {
  const one = undisturbed(at, first);
  if (!changes(undisturbed(at, second))) return false;
  // An expiry that finds no seat of its own any more ends the reservation, and has to do with no seat.
  const isApart = (expiry: Operation, other: Operation) =>
    expiry === "expire" && at.seats !== "mine" && isTake(other);
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
export const addStageEvent = (sale: Sale): Promise<number> => addEvent(sale, { holdLimitSeconds: 86_400 });

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
