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
import type { DoubtfulSeats } from "../postgres/settle.ts";
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
  began(doubt: DoubtfulSeats): void {
    this.append({ began: doubt });
  }

  ended({ reservationIds }: DoubtfulSeats): void {
    this.append({ ended: reservationIds[0] });
  }

  /** Those that no process has settled. */
  left(): DoubtfulSeats[] {
    const open = new Map<string | undefined, DoubtfulSeats>();
    for (const { began, ended } of this.lines()) {
      if (began) open.set(began.reservationIds[0], began);
      else open.delete(ended);
    }
    return [...open.values()];
  }

  /** Removes the file where everything in it is settled. Only for a process that has the folder to itself. */
  tidy(): void {
    if (this.left().length === 0) rmSync(this.path, { force: true });
  }

  private lines(): { began?: DoubtfulSeats; ended?: string }[] {
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
    const undecided: DoubtfulSeats[] = [];
    for (const doubt of waiting) {
      const { result } = await untilSettled<SettleResult>({
        ask: () => run({ kind: "settle", giveBack: true, ...doubt }).catch((): SettleResult => "away"),
        isSettled: (answer) => answer !== "away",
        giveUp: () => false,
      });
      if (result === undefined || result === "away") {
        undecided.push(doubt);
        continue;
      }
      const freed = result.versions.flatMap((version, index): [number, number][] => {
        const seatId = doubt.seatIds[index];
        return seatId === undefined || version === null ? [] : [[seatId, version + 1]];
      });
      onFreed(freed);
      unresolved.ended(doubt);
    }
    waiting = undecided;
  }
}
