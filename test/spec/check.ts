import { apart, endOf, type History, madeBy, type Operation } from "./history.ts";
import { House, type Ledger, type LedgerRow } from "./house.ts";
import { areAlike, type Point, pointsOf } from "./points.ts";

/** Half a second. 2 of 5,000 random histories took more, in which half of the requests were in doubt. */
const STEP_LIMIT = 50_000;

export type Verdict =
  | { kind: "linearizable" }
  /** `stuck`: the answers that no order explained, where the best of them was given up. */
  | { kind: "refused"; operations: Operation[]; stuck: Operation[] }
  /** There are too many orders to try them all. */
  | { kind: "undecided"; operations: Operation[] };

/**
 * Whether one order of the requests, each at one moment between its call and its end, explains every answer:
 * Wing and Gong's search with Lowe's memory of where it has been ("Testing for linearizability", 2017). With
 * a ledger the order must also be the ledger's: each change its row, each row somebody's change.
 */
export function check(history: History, rows?: LedgerRow[]): Verdict {
  const told = new Set(history.operations.flatMap((operation) => madeBy(operation) ?? []));
  const parts = apart(history);
  for (const part of parts) {
    const ledger = rows && { rows: byVersion(rowsOf(part, rows)), told };
    const verdict = new Search(part, ledger).verdict();
    if (verdict.kind !== "linearizable") return verdict;
  }
  const isOrderly = !rows || (byVersion(rows).size === rows.length && areApart(parts, rows));
  return isOrderly
    ? { kind: "linearizable" }
    : { kind: "refused", operations: history.operations, stuck: [] };
}

/** Whether no reservation is of seats that nobody asked for together. */
function areApart(parts: History[], rows: LedgerRow[]): boolean {
  const ids = parts.flatMap((part) => [
    ...new Set(rowsOf(part, rows).map(({ reservationId }) => reservationId)),
  ]);
  return new Set(ids).size === ids.length;
}

const byVersion = (rows: LedgerRow[]) => new Map(rows.map((row) => [`${row.seatId}:${row.version}`, row]));

/**
 * The shortest beginning of a refused history that is refused already, for a reader of the failure; what
 * was not answered by then counts as never answered.
 */
export function shortestRefused(history: History, rows?: LedgerRow[]): History {
  const ends = history.operations.map(({ returnedAtMs }) => returnedAtMs).sort((one, other) => one - other);
  for (const endMs of ends) {
    const beginning = untilMs(history, endMs);
    // Rows of what came later are not explained by a beginning: only the clients' own words are looked at.
    if (check(beginning).kind === "refused") return onlyGuilty(beginning);
  }
  return onlyGuilty(history, rows);
}

function onlyGuilty(history: History, rows?: LedgerRow[]): History {
  const verdict = check(history, rows);
  return verdict.kind === "refused" ? { ...history, operations: verdict.operations } : history;
}

const untilMs = (history: History, endMs: number): History => ({
  ...history,
  operations: history.operations
    .filter(({ calledAtMs }) => calledAtMs <= endMs)
    .map((operation) =>
      operation.returnedAtMs <= endMs
        ? operation
        : { ...operation, returnedAtMs: Number.POSITIVE_INFINITY, answer: { kind: "unknown" } },
    ),
});

function rowsOf(part: History, rows: LedgerRow[]): LedgerRow[] {
  const seats = new Set(
    part.operations.flatMap(({ asked }) =>
      "seatIds" in asked ? asked.seatIds : "seatId" in asked ? [asked.seatId] : [],
    ),
  );
  return rows.filter(({ seatId }) => seats.has(seatId));
}

class Search {
  private readonly points: Point[];
  /** Where it has been: what had happened, and the earliest time at which it was there. */
  private readonly seen = new Map<string, number>();
  private steps = 0;
  private fewestLeft = Number.POSITIVE_INFINITY;
  private stuck: Operation[] = [];

  constructor(
    private readonly part: History,
    private readonly ledger: Ledger | undefined,
  ) {
    // In the order of their ends: the most urgent is tried first.
    this.points = pointsOf(part).sort(
      (one, other) =>
        endOf(one.operation) - endOf(other.operation) ||
        one.operation.calledAtMs - other.operation.calledAtMs,
    );
  }

  verdict(): Verdict {
    const { operations } = this.part;
    if (this.finds(House.open(this.ledger), this.points, [])) return { kind: "linearizable" };
    if (this.steps > STEP_LIMIT) return { kind: "undecided", operations };
    return { kind: "refused", operations, stuck: this.stuck };
  }

  /**
   * @param idle seats of effects so far that nobody was sure of and nobody has met yet: an effect that is sure must
   * meet them all, since they could as well come after him. (Without this and `areAlike` 300 random histories
   * took minutes, with them half a second.)
   */
  private finds(house: House, open: Point[], idle: number[][]): boolean {
    if (++this.steps > STEP_LIMIT) return false;
    const rest = withoutLooks(house, open);
    const required = rest.filter(({ isOptional }) => !isOptional);
    if (required.length === 0 && house.isWhole) return true;
    const byMs = Math.min(...required.map(({ operation }) => operation.returnedAtMs));
    const met = open.filter((point) => !rest.includes(point)).flatMap(({ seatIds }) => seatIds);
    const unmet = idle.filter((seatIds) => !meet(seatIds, met));
    if (house.nowMs > byMs || this.wasHere(house, rest, unmet)) return false;
    if (required.length < this.fewestLeft) {
      this.fewestLeft = required.length;
      this.stuck = [...new Set(required.map(({ operation }) => operation))];
    }
    return this.goesOn(house, rest, unmet, byMs);
  }

  private goesOn(house: House, rest: Point[], idle: number[][], byMs: number): boolean {
    for (const [place, point] of rest.entries()) {
      const { isOptional, seatIds, operation } = point;
      if (operation.calledAtMs > byMs) continue;
      if (isOptional && rest.slice(0, place).some((other) => other.isOptional && areAlike(other, point)))
        continue;
      const unmet = idle.filter((others) => !meet(others, seatIds));
      if (!isOptional && unmet.length > 0 && !this.ledger) continue;
      for (const after of point.happens(house)) {
        if (after.nowMs > byMs) continue;
        const others = rest.toSpliced(place, 1);
        if (this.finds(after, others, isOptional ? [...unmet, seatIds] : unmet)) return true;
      }
    }
    return house.unasked().some(({ after, seatIds }) => {
      const unmet = idle.filter((others) => !meet(others, seatIds));
      return after.nowMs <= byMs && this.finds(after, rest, [...unmet, seatIds]);
    });
  }

  private wasHere(house: House, rest: Point[], idle: number[][]): boolean {
    const left = rest.map((point) => this.points.indexOf(point)).join(",");
    const word = house.wordFor(new Set(rest.map(({ owner }) => owner)));
    const place = `${left}|${word}|${idle
      .map((seatIds) => seatIds.join())
      .sort()
      .join(" ")}`;
    const before = this.seen.get(place);
    if (before !== undefined && before <= house.nowMs) return true;
    this.seen.set(place, house.nowMs);
    return false;
  }
}

const meet = (seatIds: number[], others: number[]) => seatIds.some((seatId) => others.includes(seatId));

/** Looking changes nothing: what is so now is best looked at now, in whatever order. */
function withoutLooks(house: House, open: Point[]): Point[] {
  const required = open.filter(({ isOptional }) => !isOptional);
  const byMs = Math.min(...required.map(({ operation }) => operation.returnedAtMs));
  const rest = open.filter((point) => {
    const isNow = point.operation.calledAtMs <= byMs && !point.isOptional;
    return !(isNow && point.happens(house).includes(house));
  });
  return rest.length === open.length ? rest : withoutLooks(house, rest);
}
