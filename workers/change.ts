import { commitChanges, commitGuardedChanges } from "../src/postgres/change.ts";
import type { ChangeAnswer, ChangeBatch, ChangeResult } from "../src/threads/messages.ts";
import { type Transactions, transact } from "./transaction.ts";

/**
 * A change that met somebody else's lock or claim is asked for again, each time in a new transaction; they
 * are held for the milliseconds of a commit. So many rounds in which nothing more was decided are enough.
 */
const IDLE_ROUND_LIMIT = 5;
const AGAIN = ["again", "capped", "claimed"];

/**
 * Commits changes of reservations. No Redis lock: only a reservation's owner may change it, and what a
 * rival may want of it (seats of a hold that is over) the row locks decide.
 */
export async function change(transactions: Transactions, batch: ChangeBatch): Promise<ChangeResult> {
  const startedAt = performance.now();
  const changes: ChangeAnswer[] = batch.reservationIds.map(() => ({ verdict: "undecided" }));
  const answer = { changes, databaseAway: false, transactionMs: 0 };
  const keys = new Set(batch.guards.map(({ reservationId }) => reservationId));
  const guarded = new Set(batch.reservationIds.flatMap((id, position) => (keys.has(id) ? [position] : [])));

  let open = batch.reservationIds.map((_, position) => position);
  for (let idleRounds = 0; idleRounds < IDLE_ROUND_LIMIT && open.length > 0 && !answer.databaseAway; ) {
    const plain = open.filter((position) => !guarded.has(position));
    const withGuard = open.filter((position) => guarded.has(position));
    if ((await commit(transactions, batch, plain, answer, false)) === "doubtful") return "doubtful";
    if ((await commit(transactions, batch, withGuard, answer, true)) === "doubtful") return "doubtful";
    for (const position of plain) {
      if (changes[position]?.verdict === "capped") guarded.add(position);
    }
    const rest = open.filter((position) => AGAIN.includes(changes[position]?.verdict ?? ""));
    if (rest.length === open.length) idleRounds++;
    open = rest;
  }
  for (const position of open) {
    if (changes[position]?.verdict !== "claimed") changes[position] = { verdict: "undecided" };
  }
  answer.transactionMs = performance.now() - startedAt;
  return answer;
}

/** One transaction for these; one by one when the statement itself was refused. */
async function commit(
  transactions: Transactions,
  batch: ChangeBatch,
  positions: number[],
  answer: { changes: ChangeAnswer[]; databaseAway: boolean },
  isGuarded: boolean,
): Promise<"decided" | "doubtful"> {
  if (positions.length === 0) return "decided";
  const at = <T>(list: T[]) => positions.map((position) => list[position] as T);
  const chosen = {
    reservationIds: at(batch.reservationIds),
    actions: at(batch.actions),
    changeIds: at(batch.changeIds),
    ...(batch.actIds && { actIds: at(batch.actIds) }),
    ...(batch.limitedCallers && { limitedCallers: batch.limitedCallers }),
  };
  const ids = new Set(chosen.reservationIds);
  const guards = batch.guards.filter(({ reservationId }) => ids.has(reservationId));
  const rows = await transact(transactions, (client) =>
    isGuarded ? commitGuardedChanges(client, chosen, guards) : commitChanges(client, chosen),
  );
  if (rows === "doubtful") return rows;
  if (typeof rows === "string") {
    for (const position of positions) answer.changes[position] = { verdict: "undecided" };
    if (rows === "away") answer.databaseAway = true;
    if (rows === "away" || positions.length === 1) return "decided";
    for (const position of positions) {
      if ((await commit(transactions, batch, [position], answer, isGuarded)) === "doubtful")
        return "doubtful";
    }
    return "decided";
  }
  for (const [index, position] of positions.entries()) {
    answer.changes[position] = rows[index] ?? { verdict: "claimed" };
  }
  return "decided";
}
