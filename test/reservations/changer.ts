import type { CallerKind } from "../../src/postgres/change.ts";
import type { KeyClaim } from "../../src/postgres/claims.ts";
import type { Recalled } from "../../src/postgres/recall.ts";
import { Changes, type OwnerAction } from "../../src/reservations/changes.ts";
import type { ChangeOutcome } from "../../src/reservations/outcome.ts";
import type { ChangeAnswer, ReservationTask } from "../../src/threads/messages.ts";
import type { SeatChange } from "../../src/venue/seat-events.ts";
import { SeatMemory } from "../../src/venue/seat-memory.ts";
import { factsOf, type Heard, heardOf, turn } from "./worker.ts";

type Task = Extract<ReservationTask, { kind: "change" | "recall" }>;

interface Sent {
  task: Task;
  reservationIds: string[];
  changeIds: string[];
  /** The worker's answer to changes, one a reservation. */
  answers(changes: ChangeAnswer[] | "doubtful" | "away"): Promise<void>;
  /** The worker's answer to lost attempts that are looked up, one each. */
  recalls(changes: Recalled[] | "away"): Promise<void>;
  dies(): Promise<void>;
}

type Row = Exclude<ChangeAnswer, { verdict: "undecided" | "claimed" }>;

/** A row of the statement that changes reservations. */
export const row = (verdict: Row["verdict"], more: Partial<Row> = {}): Row => ({
  ...{ verdict, status: "held", facts: null, seats: [], final: false, gone: null },
  ...more,
});

/** A change that was done on these seats, at their new versions. */
export const done = (id: string, seats: [number, number][], final = false): Row =>
  row("done", {
    facts: factsOf(
      id,
      seats.map(([seatId]) => seatId),
    ),
    ...{ seats, final },
  });

/** Changes whose worker threads are the test. */
export function openChanges({
  slotCount = 1,
  batchLimitReservations = 256,
  queueLimitReservations = 1000,
  limitedCallers = [] as CallerKind[],
} = {}) {
  const sent: Sent[] = [];
  const changed: Heard[] = [];
  const troubles: string[] = [];
  const decided: number[] = [];
  const memory = new SeatMemory();
  /** What seats are read from after an answer was lost: seat 1 of the first reservation, 2 of the second ... */
  const database = { isAway: false };
  const changes = new Changes({
    ...{ memory, slotCount, batchLimitReservations, queueLimitReservations },
    ...(limitedCallers.length > 0 && { limitedCallers }),
    readSeats: async (ids) => {
      if (database.isAway) throw new Error("the database cannot be asked");
      return ids.map(
        (_, index): SeatChange => ({
          ...{ seatId: index + 1, version: 9, status: "reserved", final: false },
        }),
      );
    },
    observer: {
      changed: (seats) => changed.push(...heardOf(seats)),
      decided: (count) => decided.push(count),
      trouble: (kind) => troubles.push(kind),
    },
    run: <Result>(task: ReservationTask) =>
      new Promise<Result>((resolveAs, reject) => {
        if (task.kind !== "change" && task.kind !== "recall") throw new Error("only changes were expected");
        const resolve = (result: unknown) => resolveAs(result as Result);
        sent.push({
          task,
          reservationIds: task.changes.map(({ reservationId }) => reservationId),
          changeIds: task.changes.map(({ changeId }) => changeId),
          answers: (changes) => {
            const undecided: ChangeAnswer[] = task.changes.map(() => ({ verdict: "undecided" }));
            if (changes === "doubtful") resolve(changes);
            else if (changes === "away")
              resolve({ changes: undecided, databaseAway: true, transactionMs: 1 });
            else resolve({ changes, databaseAway: false, transactionMs: 1 });
            return turn();
          },
          recalls: (changes) => {
            resolve(changes === "away" ? changes : { changes });
            return turn();
          },
          dies: () => {
            reject(new Error("the thread exited"));
            return turn();
          },
        });
      }),
  });
  /** Asks for a change; the answer is undefined until there is one. */
  const ask = (reservationId: string, action: OwnerAction = "confirm", key: KeyClaim | null = null) => {
    const asked: { outcome?: ChangeOutcome; atOnce: boolean } = { atOnce: false };
    const changed = changes.change({ reservationId, action, key });
    if (changed instanceof Promise) void changed.then((outcome) => Object.assign(asked, { outcome }));
    else Object.assign(asked, { outcome: changed, atOnce: true });
    return asked;
  };
  const last = (): Sent => {
    const newest = sent.at(-1);
    if (!newest) throw new Error("nothing was sent");
    return newest;
  };
  return { changes, database, memory, ask, sent, last, changed, troubles, decided };
}
