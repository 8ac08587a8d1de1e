import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import type { DoubtfulOrder, Settled } from "../postgres/settle.ts";
import { at } from "../runtime/assert.ts";
import { type Logger, messageOf } from "../telemetry/log.ts";
import type { ReservationTask, SettleResult } from "../threads/messages.ts";
import { untilSettled } from "./doubt.ts";

/**
 * Reservations whose buyers were told "try again" before it was known whether they were committed. They are
 * noted on disk before the buyers hear so, and given back when the database answers: by this process, or by
 * the next one on the same DATA_DIR. Without the note a crash in between would leave their seats sold to
 * somebody who was told that they are not.
 *
 * A line for each, `{"began":{...}}`, and one more when it is settled, `{"ended":"<first reservation id>"}`.
 * Processes that share the folder append to one file; to give the same back twice changes nothing.
 */
export class UnresolvedReservations {
  constructor(
    private readonly path: string,
    private readonly log: Logger,
  ) {}

  /** Synchronous: nobody is told before it is on disk. This happens when the database is away, and then once a batch. */
  began(orders: DoubtfulOrder[]): void {
    const seats = orders.flatMap(({ reservationId, seatIds }) =>
      seatIds.map((seatId) => ({ seatId, reservationId })),
    );
    const seatIds = seats.map(({ seatId }) => seatId);
    this.append({ began: { seatIds, reservationIds: seats.map(({ reservationId }) => reservationId) } });
  }

  ended(orders: DoubtfulOrder[]): void {
    this.append({ ended: at(orders, 0, "an order in doubt").reservationId });
  }

  /** Those that no process has settled; each has one seat. */
  left(): DoubtfulOrder[][] {
    const open = new Map<string | undefined, DoubtfulOrder[]>();
    for (const { began, ended } of this.lines()) {
      if (began) open.set(began.reservationIds[0], ordersOf(began));
      else open.delete(ended);
    }
    return [...open.values()];
  }

  /** Removes the file where everything in it is settled. Only for a process that has the folder to itself. */
  tidy(): void {
    if (this.left().length === 0) rmSync(this.path, { force: true });
  }

  private lines(): { began?: NotedSeats; ended?: string }[] {
    const text = readIfThere(this.path);
    return text.split("\n").flatMap((line) => {
      // A process that died while writing left half a line, whose buyers have not been told anything.
      if (!line.endsWith("}")) return [];
      try {
        return [JSON.parse(line)];
      } catch {
        return [];
      }
    });
  }

  private append(line: object): void {
    try {
      const folder = dirname(this.path);
      mkdirSync(folder, { recursive: true });
      const isNew = !existsSync(this.path);
      const file = openSync(this.path, "a");
      try {
        // A line of its own also after half a line.
        writeSync(file, `\n${JSON.stringify(line)}\n`);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      if (isNew) syncFolder(folder);
    } catch (error) {
      this.log.error(
        { error: messageOf(error), file: this.path, ...line },
        "a reservation in doubt could not be noted: if this process dies before it is settled, its seats stay reserved",
      );
    }
  }
}

/** What a line has of the orders, one value a seat: also read from the files of earlier versions. */
interface NotedSeats {
  seatIds: number[];
  reservationIds: string[];
}

const ordersOf = ({ seatIds, reservationIds }: NotedSeats): DoubtfulOrder[] =>
  seatIds.map((seatId, index) => ({
    ...{ reservationId: at(reservationIds, index, "a seat's reservation"), seatIds: [seatId] },
  }));

/** A file that is new is there after a power cut only when its folder says so on disk. */
function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw error;
  }
}

/**
 * Gives back what a former process has left in doubt; one that the database does not decide keeps no other waiting.
 * @param onFreed hears of seats that are free again, with their versions, as soon as they are.
 */
export async function giveBackLeft(
  unresolved: UnresolvedReservations,
  run: (task: ReservationTask) => Promise<SettleResult>,
  onFreed: (seats: [seatId: number, version: number][]) => void,
): Promise<void> {
  for (let waiting = unresolved.left(); waiting.length > 0; ) {
    const undecided: DoubtfulOrder[][] = [];
    for (const orders of waiting) {
      const { result } = await untilSettled<SettleResult>({
        ask: () => run({ kind: "settle", giveBack: true, orders }).catch((): SettleResult => "away"),
        isSettled: (answer) => answer !== "away",
        giveUp: () => false,
      });
      if (result === undefined || result === "away") {
        undecided.push(orders);
        continue;
      }
      onFreed(result.orders.flatMap((versions, index) => freedOf(at(orders, index, "an order"), versions)));
      unresolved.ended(orders);
    }
    waiting = undecided;
  }
}

/** The seats of an order that was given back, at the versions they have now. */
const freedOf = ({ seatIds }: DoubtfulOrder, versions: Settled): [seatId: number, version: number][] =>
  (versions ?? []).map((version, place) => [at(seatIds, place, "a seat"), version + 1]);
