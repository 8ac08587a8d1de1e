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
import type { LostOrder, Settled } from "../postgres/settle.ts";
import { at } from "../runtime/assert.ts";
import { type Logger, messageOf } from "../telemetry/log.ts";
import type { ReservationTask, SettleResult } from "../threads/messages.ts";
import { untilSettled } from "./recovery.ts";

/**
 * Keeps reservations whose buyers were told "try again" before it was known whether they were committed. They are
 * written to disk before the buyers are told. When the database answers, they are given back by this process, or by the
 * next one on the same DATA_DIR. Without this file, a crash in between would leave the seats sold to buyers who were
 * told that they are not.
 *
 * Each batch in doubt has a line, `{"began":{...}}`, and another when it is settled,
 * `{"ended":"<first reservation id>"}`. Processes that share the folder append to one file. Giving the same seats back
 * twice changes nothing.
 */
export class UnresolvedReservations {
  constructor(
    private readonly path: string,
    private readonly log: Logger,
  ) {}

  /**
   * Writes the orders to disk. This is synchronous, so that nobody is told before. It happens when the database does
   * not answer, and then once per batch.
   */
  began(orders: LostOrder[]): void {
    const seats = orders.flatMap(({ reservationId, seatIds }) =>
      seatIds.map((seatId) => ({ seatId, reservationId })),
    );
    const seatIds = seats.map(({ seatId }) => seatId);
    this.append({ began: { seatIds, reservationIds: seats.map(({ reservationId }) => reservationId) } });
  }

  ended(orders: LostOrder[]): void {
    this.append({ ended: at(orders, 0, "an order in doubt").reservationId });
  }

  /** Returns the orders that no process has settled. Each has one seat. */
  left(): LostOrder[][] {
    const open = new Map<string | undefined, LostOrder[]>();
    for (const { began, ended } of this.lines()) {
      if (began) open.set(began.reservationIds[0], ordersOf(began));
      else open.delete(ended);
    }
    return [...open.values()];
  }

  /** Removes the file if everything in it is settled. Call it only in a process that has the folder to itself. */
  tidy(): void {
    if (this.left().length === 0) rmSync(this.path, { force: true });
  }

  private lines(): { began?: NotedSeats; ended?: string }[] {
    const text = readIfThere(this.path);
    return text.split("\n").flatMap((line) => {
      // A process that died while writing left half a line. Its buyers have not been told anything.
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
        // The leading newline starts a line of its own even after half a line.
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

/** The orders of a line, with one value per seat. Files of earlier versions have the same format. */
interface NotedSeats {
  seatIds: number[];
  reservationIds: string[];
}

const ordersOf = ({ seatIds, reservationIds }: NotedSeats): LostOrder[] =>
  seatIds.map((seatId, index) => ({
    ...{ reservationId: at(reservationIds, index, "a seat's reservation"), seatIds: [seatId] },
  }));

/** Syncs the folder: after a power cut, a new file exists only if the folder on disk names it. */
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
 * Gives back the seats that an earlier process left in doubt. An order that the database does not decide delays no
 * other.
 * @param onFreed is called with the freed seats and their versions, as soon as they are free
 */
export async function giveBackLeft(
  unresolved: UnresolvedReservations,
  run: (task: ReservationTask) => Promise<SettleResult>,
  onFreed: (seats: [seatId: number, version: number][]) => void,
): Promise<void> {
  for (let waiting = unresolved.left(); waiting.length > 0; ) {
    const undecided: LostOrder[][] = [];
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

/** Returns the seats of an order that was given back, with their new versions. */
const freedOf = ({ seatIds }: LostOrder, versions: Settled): [seatId: number, version: number][] =>
  (versions ?? []).map((version, place) => [at(seatIds, place, "a seat"), version + 1]);
