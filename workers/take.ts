import { commitGuardedReservations, commitReservations } from "../src/postgres/reserve.ts";
import type { SeatLocks } from "../src/redis/seat-locks.ts";
import type { BatchAnswer, SeatAnswer, TakeBatch, TakeResult } from "../src/threads/messages.ts";
import { type Transactions, transact } from "./transaction.ts";

const nothing = { version: null, final: false, hold: null } as const;
const UNDECIDED: SeatAnswer = { verdict: "undecided", ...nothing };
const CLAIMED: SeatAnswer = { verdict: "claimed", ...nothing };
const CONTENDED: SeatAnswer = { verdict: "contended", ...nothing };
const FREE: SeatAnswer = { verdict: "free", ...nothing };

/** The places of one reservation's seats in the batch. */
type Order = number[];

/**
 * Lock, commit, unlock. Seats whose lock a rival holds are answered `contended`, and their reservations go
 * no further; the database decides the rest. The unlock travels along with the answer, or before it where a
 * seat is free again: whoever is told "try again" must find no lock of ours.
 */
export async function take(
  transactions: Transactions,
  locks: SeatLocks,
  batch: TakeBatch,
): Promise<TakeResult> {
  const startedAt = performance.now();
  const guard = await locks.guard(batch.seatIds);
  const lockedAt = performance.now();

  const orders = ordersOf(batch.reservationIds);
  const answer: BatchAnswer = {
    seats: batch.seatIds.map(() => UNDECIDED),
    databaseAway: false,
    lockMs: lockedAt - startedAt,
    transactionMs: 0,
    guarded: guard.guarded,
    conflictCount: guard.contended.size,
    ghostCount: guard.ghostCount,
    movedCount: 0,
    reran: false,
  };
  // The rival may be the same request with the same key, at another process: only Postgres can tell.
  const keyed = new Set(batch.guards.flatMap(({ reservationId, key }) => (key ? [reservationId] : [])));
  const isContended = (position: number) =>
    guard.contended.has(batch.seatIds[position] ?? 0) && !keyed.has(batch.reservationIds[position] ?? "");
  const open = orders.filter((order) => !order.some(isContended));
  for (const order of orders) {
    if (!order.some(isContended)) continue;
    for (const position of order) answer.seats[position] = isContended(position) ? CONTENDED : FREE;
  }
  const outcome = await decide(transactions, batch, open, answer);
  answer.transactionMs = performance.now() - lockedAt;
  const released = guard.release();
  if (outcome === "doubtful" || answer.seats.some((seat) => seat.verdict === "undecided")) await released;
  return outcome === "doubtful" ? outcome : answer;
}

/** Fills in the answer of these orders; one with a seat that has moved on is tried once more, at the new versions. */
async function decide(
  transactions: Transactions,
  batch: TakeBatch,
  orders: Order[],
  answer: BatchAnswer,
): Promise<"decided" | "doubtful"> {
  if ((await commitAll(transactions, batch, orders, answer)) === "doubtful") return "doubtful";
  const hasMoved = (order: Order) => order.some((position) => answer.seats[position]?.verdict === "moved");
  const moved = orders.filter(hasMoved);
  if (moved.length === 0) return "decided";

  answer.movedCount = moved.length;
  const versions = batch.versions.map((version, position) => answer.seats[position]?.version ?? version);
  if ((await commitAll(transactions, { ...batch, versions }, moved, answer)) === "doubtful")
    return "doubtful";
  for (const order of moved) if (hasMoved(order)) fill(answer, order, UNDECIDED);
  return "decided";
}

/** One transaction for those without a guard, one for those with. */
async function commitAll(
  transactions: Transactions,
  batch: TakeBatch,
  orders: Order[],
  answer: BatchAnswer,
): Promise<"decided" | "doubtful"> {
  if (batch.guards.length === 0) return commit(transactions, batch, orders, answer);
  const guarded = new Set(batch.guards.map(({ reservationId }) => reservationId));
  const isGuarded = (order: Order) => guarded.has(batch.reservationIds[order[0] ?? 0] ?? "");
  const { plain = [], withGuard = [] } = Object.groupBy(orders, (order) =>
    isGuarded(order) ? "withGuard" : "plain",
  );
  const first = await commit(transactions, { ...batch, guards: [] }, plain, answer);
  if (first === "doubtful") return first;
  const callers = batch.guards.flatMap(({ caller }) => caller?.id ?? []);
  if (callers.length === 0) return commit(transactions, batch, withGuard, answer);
  return inTurn(callers, () => commitCapped(transactions, batch, withGuard, answer));
}

/**
 * A caller's claim that another thread or process holds is tried again, each time in a new transaction. So is an order that
 * did not fit behind others of the batch, in case those have failed. This many rounds without a decision are the limit.
 */
const IDLE_ROUND_LIMIT = 20;
/**
 * The longest random pause before such a round: a rival with one batch after the other frees its claim only for moments.
 * Without pauses, 5 rounds were over before a rival's commit, and 3 to 5 % of a busy key's holds were not decided.
 */
const PAUSE_LIMIT_MS = 5;

async function commitCapped(
  transactions: Transactions,
  batch: TakeBatch,
  orders: Order[],
  answer: BatchAnswer,
): Promise<"decided" | "doubtful"> {
  const limited = new Set(batch.guards.flatMap((each) => (each.caller ? [each.reservationId] : [])));
  const mayFollow = (order: Order) => {
    const [position = 0] = order;
    const verdict = answer.seats[position]?.verdict;
    return (
      limited.has(batch.reservationIds[position] ?? "") &&
      (verdict === "claimed" || verdict === "caller_crowded")
    );
  };
  let open = orders;
  for (let idleRounds = 0; idleRounds < IDLE_ROUND_LIMIT && open.length > 0 && !answer.databaseAway; ) {
    if ((await commit(transactions, batch, open, answer)) === "doubtful") return "doubtful";
    const rest = open.filter(mayFollow);
    if (rest.length === open.length) {
      idleRounds++;
      await Bun.sleep(Math.random() * PAUSE_LIMIT_MS);
    }
    open = rest;
  }
  return "decided";
}

/** Resolves at the end of each caller's last transaction in this thread. */
const turns = new Map<string, Promise<unknown>>();

/**
 * Runs work after all earlier work of this thread for one of the same callers, so that their claims are free. All turns
 * are taken in one step, so there is no deadlock. At most the thread's own batches wait, for a commit each.
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

/** One transaction for these orders; one by one when the statement itself was refused. */
async function commit(
  transactions: Transactions,
  batch: TakeBatch,
  orders: Order[],
  answer: BatchAnswer,
): Promise<"decided" | "doubtful"> {
  if (orders.length === 0) return "decided";
  const positions = orders.flat();
  const chosen = pick(batch, positions);
  const rows = await transact(transactions, (client) =>
    chosen.guards.length === 0
      ? commitReservations(client, chosen)
      : commitGuardedReservations(client, chosen, chosen.guards),
  );
  if (rows === "doubtful") return rows;
  if (typeof rows === "string") {
    fill(answer, positions, UNDECIDED);
    if (rows === "away") answer.databaseAway = true;
    if (rows === "away" || orders.length === 1) return "decided";
    answer.reran = true;
    for (const order of orders) {
      if ((await commit(transactions, batch, [order], answer)) === "doubtful") return "doubtful";
    }
    return "decided";
  }
  for (const [index, position] of positions.entries()) answer.seats[position] = rows[index] ?? CLAIMED;
  return "decided";
}

function ordersOf(reservationIds: string[]): Order[] {
  const orders: Order[] = [];
  let last: Order | undefined;
  for (const [position, id] of reservationIds.entries()) {
    if (last && id === reservationIds[position - 1]) last.push(position);
    else {
      last = [position];
      orders.push(last);
    }
  }
  return orders;
}

function fill(answer: BatchAnswer, positions: number[], seat: SeatAnswer): void {
  for (const position of positions) answer.seats[position] = seat;
}

function pick(batch: TakeBatch, positions: number[]): TakeBatch {
  if (positions.length === batch.seatIds.length) return batch;
  const at = <T>(list: T[]) => positions.map((position) => list[position] as T);
  const reservationIds = at(batch.reservationIds);
  const chosen = new Set(reservationIds);
  return {
    seatIds: at(batch.seatIds),
    versions: at(batch.versions),
    reservationIds,
    holds: at(batch.holds),
    ...(batch.callers && { callers: at(batch.callers) }),
    guards: batch.guards.filter(({ reservationId }) => chosen.has(reservationId)),
  };
}
