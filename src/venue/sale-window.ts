import type { EventFacts } from "./catalogue.ts";

/** By how much the clocks of this process and of the database may differ. */
const CLOCK_DIFFERENCE_LIMIT_MS = 60_000;

/** Why an event is not on sale, as problems tell it. Times are ISO 8601 in UTC. */
export interface NotOnSale {
  reason: "not-yet" | "over" | "closed";
  onSaleAt: string | null;
  offSaleAt: string | null;
}

type Window = Pick<EventFacts, "status" | "onSaleAtMs" | "offSaleAtMs">;

/**
 * Explains why the database refused to sell seats of an event. The database has decided, by its own clock; this process
 * may know the event a moment late or not at all, and its clock may differ.
 */
export function notOnSale(event: Window | undefined, nowMs: number): NotOnSale {
  const { onSaleAtMs = null, offSaleAtMs = null } = event ?? {};
  return {
    reason: event ? reasonOf(event, nowMs) : "closed",
    onSaleAt: isoOf(onSaleAtMs),
    offSaleAt: isoOf(offSaleAtMs),
  };
}

function reasonOf({ status, onSaleAtMs, offSaleAtMs }: Window, nowMs: number): NotOnSale["reason"] {
  if (status === "closed") return "closed";
  if (onSaleAtMs !== null && nowMs < onSaleAtMs) return "not-yet";
  if (offSaleAtMs !== null && nowMs >= offSaleAtMs) return "over";
  // On sale by what is known here: the nearer limit is the one that the database's clock is on the other side of.
  if (onSaleAtMs !== null && nowMs - onSaleAtMs < CLOCK_DIFFERENCE_LIMIT_MS) return "not-yet";
  if (offSaleAtMs !== null && offSaleAtMs - nowMs < CLOCK_DIFFERENCE_LIMIT_MS) return "over";
  return "closed";
}

const isoOf = (timeMs: number | null) => (timeMs === null ? null : new Date(timeMs).toISOString());
