import {
  type CallerKind,
  commitChanges,
  commitChangesWithClaims,
  type ReservationChange,
} from "../src/postgres/change.ts";
import type { ChangeAnswer, ChangeResult } from "../src/threads/messages.ts";
import { type Transactions, transact } from "./transaction.ts";

/**
 * Rounds without progress before a change is given up. A change that met another lock or claim is tried again
 * in a new transaction; locks and claims last for the milliseconds of a commit.
 */
const IDLE_ROUND_LIMIT = 5;

/** A change and its result so far. */
interface Item {
  change: ReservationChange;
  /** Whether it needs the transaction that claims its key, its buyer or its caller. */
  needsClaims: boolean;
  answer: ChangeAnswer;
}

interface Batch {
  limitedCallers: CallerKind[] | undefined;
  databaseAway: boolean;
}

/**
 * Commits changes of reservations. It takes no Redis lock: only a reservation's owner may change it, and row
 * locks decide against rivals for the seats of an expired hold.
 */
export async function change(
  transactions: Transactions,
  changes: ReservationChange[],
  limitedCallers?: CallerKind[],
): Promise<ChangeResult> {
  const startedAt = performance.now();
  const items = changes.map(
    (change): Item => ({ change, needsClaims: change.key != null, answer: { verdict: "undecided" } }),
  );
  const batch: Batch = { limitedCallers, databaseAway: false };

  let open = items;
  for (let idleRounds = 0; idleRounds < IDLE_ROUND_LIMIT && open.length > 0 && !batch.databaseAway; ) {
    const plain = open.filter(({ needsClaims }) => !needsClaims);
    const withClaims = open.filter(({ needsClaims }) => needsClaims);
    if ((await commit(transactions, plain, batch)) === "doubtful") return "doubtful";
    if ((await commit(transactions, withClaims, batch)) === "doubtful") return "doubtful";
    for (const item of plain) item.needsClaims = item.answer.verdict === "capped";
    const rest = open.filter(isToBeAskedAgain);
    if (rest.length === open.length) idleRounds++;
    open = rest;
  }
  for (const item of open) if (item.answer.verdict !== "claimed") item.answer = { verdict: "undecided" };
  return {
    changes: items.map(({ answer }) => answer),
    databaseAway: batch.databaseAway,
    transactionMs: performance.now() - startedAt,
  };
}

const isToBeAskedAgain = ({ answer: { verdict } }: Item) =>
  verdict === "again" || verdict === "capped" || verdict === "claimed";

/** Commits these changes in one transaction, or one by one if the statement itself was refused. */
async function commit(
  transactions: Transactions,
  items: Item[],
  batch: Batch,
): Promise<"decided" | "doubtful"> {
  const [first] = items;
  if (!first) return "decided";
  const changes = items.map(({ change }) => change);
  const rows = await transact(transactions, (client) =>
    first.needsClaims
      ? commitChangesWithClaims(client, changes, batch.limitedCallers)
      : commitChanges(client, changes, batch.limitedCallers),
  );
  if (rows === "doubtful") return rows;
  if (typeof rows !== "string") {
    for (const [index, item] of items.entries()) item.answer = rows[index] ?? { verdict: "claimed" };
    return "decided";
  }
  for (const item of items) item.answer = { verdict: "undecided" };
  batch.databaseAway ||= rows === "away";
  if (rows === "away" || items.length === 1) return "decided";
  for (const item of items) {
    if ((await commit(transactions, [item], batch)) === "doubtful") return "doubtful";
  }
  return "decided";
}
