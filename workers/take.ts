import {
  commitReservations,
  commitReservationsWithClaims,
  type SeatOrder,
  type SeatRow,
} from "../src/postgres/reserve.ts";
import type { SeatLocks } from "../src/redis/seat-locks.ts";
import { at } from "../src/runtime/assert.ts";
import type { BatchAnswer, OrderAnswer, TakeResult } from "../src/threads/messages.ts";
import { type Transactions, transact } from "./transaction.ts";

const CONTENDED: SeatRow = { verdict: "contended", version: null, final: false, hold: null };
const FREE: SeatRow = { ...CONTENDED, verdict: "free" };

/** An order and its result so far. */
interface Item {
  order: SeatOrder;
  answer: OrderAnswer;
}

/** The other fields of a batch's result. */
type Report = Pick<BatchAnswer, "databaseAway" | "movedCount" | "reran">;

/** `doubtful`: the connection was lost after sending. */
type Decided = "decided" | "doubtful";

/**
 * Locks, commits and unlocks. Orders with a seat whose lock a rival holds are answered `contended`, and the
 * database decides the rest. The unlock is sent with the result, or before it if a seat is free again: a
 * client that is told to try again must not meet our own lock.
 */
export async function take(
  transactions: Transactions,
  locks: SeatLocks,
  orders: SeatOrder[],
): Promise<TakeResult> {
  const startedAt = performance.now();
  const locked = await locks.lockBatch(orders.flatMap(({ seats }) => seats.map(({ seatId }) => seatId)));
  const lockedAt = performance.now();

  const items = orders.map((order): Item => ({ order, answer: contendedIn(order, locked.contended) }));
  const report: Report = { databaseAway: false, movedCount: 0, reran: false };
  const open = items.filter(({ answer }) => answer === "undecided");
  const outcome = await decide(transactions, open, report);
  const transactionMs = performance.now() - lockedAt;
  const released = locked.release();
  if (outcome === "doubtful" || items.some(({ answer }) => answer === "undecided")) await released;
  if (outcome === "doubtful") return outcome;
  return {
    orders: items.map(({ answer }) => answer),
    ...report,
    lockMs: lockedAt - startedAt,
    transactionMs,
    isLocked: locked.isLocked,
    conflictCount: locked.contended.size,
    ghostCount: locked.ghostCount,
  };
}

/**
 * Returns the result of an order if a rival holds locks on its seats. With a key the rival may be the same
 * request in another process, which only Postgres can tell.
 */
function contendedIn({ seats, checks }: SeatOrder, contended: Set<number>): OrderAnswer {
  if (checks?.key || !seats.some(({ seatId }) => contended.has(seatId))) return "undecided";
  return seats.map(({ seatId }) => (contended.has(seatId) ? CONTENDED : FREE));
}

/** Decides these orders. An order with a seat that has changed meanwhile is tried once more, at the new version. */
async function decide(transactions: Transactions, items: Item[], report: Report): Promise<Decided> {
  if ((await commitAll(transactions, items, report)) === "doubtful") return "doubtful";
  const moved = items.filter(hasMoved);
  if (moved.length === 0) return "decided";
  report.movedCount = moved.length;
  for (const item of moved) item.order = atNewVersions(item);
  if ((await commitAll(transactions, moved, report)) === "doubtful") return "doubtful";
  for (const item of moved) if (hasMoved(item)) item.answer = "undecided";
  return "decided";
}

const rowsOf = ({ answer }: Item): SeatRow[] => (typeof answer === "string" ? [] : answer);

const hasMoved = (item: Item) => rowsOf(item).some(({ verdict }) => verdict === "moved");

function atNewVersions(item: Item): SeatOrder {
  const rows = rowsOf(item);
  const seats = item.order.seats.map(({ seatId, version }, index) => ({
    seatId,
    version: at(rows, index, "a row of a seat").version ?? version,
  }));
  return { ...item.order, seats };
}

/** Runs one transaction for the orders without checks and one for those with checks. */
async function commitAll(transactions: Transactions, items: Item[], report: Report): Promise<Decided> {
  const plain = items.filter(({ order }) => !order.checks);
  const withChecks = items.filter(({ order }) => order.checks);
  if ((await commit(transactions, plain, report)) === "doubtful") return "doubtful";
  const callers = withChecks.flatMap(({ order }) => (isCapped(order) && order.caller) || []);
  if (callers.length === 0) return commit(transactions, withChecks, report);
  return inTurn(callers, () => commitCapped(transactions, withChecks, report));
}

const isCapped = ({ checks }: SeatOrder) => checks?.callerLimitSeats !== undefined;

/**
 * Rounds without a decision before capped orders are given up. Each round is a new transaction: another
 * thread or process may have released the caller's claim, and earlier orders of the batch may have failed.
 */
const IDLE_ROUND_LIMIT = 20;
/**
 * Longest random pause before such a round. A rival with batch after batch frees its claim only for moments:
 * without pauses 5 rounds ended before a rival's commit, and 3 to 5 % of a busy key's holds were not decided.
 */
const PAUSE_LIMIT_MS = 5;

async function commitCapped(transactions: Transactions, items: Item[], report: Report): Promise<Decided> {
  let open = items;
  for (let idleRounds = 0; idleRounds < IDLE_ROUND_LIMIT && open.length > 0 && !report.databaseAway; ) {
    if ((await commit(transactions, open, report)) === "doubtful") return "doubtful";
    const rest = open.filter(mayFollow);
    if (rest.length === open.length) {
      idleRounds++;
      await Bun.sleep(Math.random() * PAUSE_LIMIT_MS);
    }
    open = rest;
  }
  return "decided";
}

const mayFollow = (item: Item) =>
  isCapped(item.order) && (item.answer === "claimed" || rowsOf(item)[0]?.verdict === "caller_crowded");

/** Resolves at the end of each caller's last transaction in this thread. */
const turns = new Map<string, Promise<unknown>>();

/**
 * Runs work after all earlier work of this thread for the same callers, so that their claims are free. All
 * turns are taken in one step, so there is no deadlock. At most the thread's own batches wait, for a commit
 * each.
 */
async function inTurn<Result>(callers: string[], work: () => Promise<Result>): Promise<Result> {
  const before = callers.map((caller) => turns.get(caller));
  const turn = Promise.all(before).then(work);
  const over = turn.then(
    () => undefined,
    () => undefined,
  );
  for (const caller of callers) turns.set(caller, over);
  try {
    return await turn;
  } finally {
    for (const caller of callers) if (turns.get(caller) === over) turns.delete(caller);
  }
}

/** Commits these orders in one transaction, or one by one if the statement itself was refused. */
async function commit(transactions: Transactions, items: Item[], report: Report): Promise<Decided> {
  if (items.length === 0) return "decided";
  const orders = items.map(({ order }) => order);
  const needsClaims = orders.some(({ checks }) => checks);
  const answers = await transact(transactions, (client) =>
    needsClaims ? commitReservationsWithClaims(client, orders) : commitReservations(client, orders),
  );
  if (answers === "doubtful") return answers;
  if (typeof answers !== "string") {
    for (const [index, item] of items.entries()) item.answer = answers[index] ?? "claimed";
    return "decided";
  }
  for (const item of items) item.answer = "undecided";
  report.databaseAway ||= answers === "away";
  if (answers === "away" || items.length === 1) return "decided";
  report.reran = true;
  for (const item of items) {
    if ((await commit(transactions, [item], report)) === "doubtful") return "doubtful";
  }
  return "decided";
}
