import type { SeatMemory, SeatStatus } from "../../venue/seat-memory.ts";
import type { SeatFacts } from "./seat-look.ts";

/**
 * A seat that was taken for somebody who was told "try again" is given back, also where nothing else ever is: others
 * hear of it by the change feed, or read it within 5 s where that is lost.
 */
const HEARD_WITHIN_SECONDS = 15;

/** What this process's memory said of a seat at one moment. */
export interface Remembered {
  seatId: number;
  version: number;
  status: SeatStatus;
  isGone: boolean;
}

export function recall(memory: SeatMemory, seatId: number): Remembered | undefined {
  const status = memory.statusOf(seatId);
  return status && { seatId, version: memory.versionOf(seatId), status, isGone: memory.isGone(seatId) };
}

/**
 * What memory said and the database, read later, does not bear out. Memory may be older, which costs a buyer
 * one more look; never newer or more final, which would refuse him a seat that is free. Which of free and held is no
 * matter: a hold that is over counts as free at the same version.
 */
export function driftOf(
  memory: Remembered,
  { version, status, isFinal, changedSecondsAgo }: SeatFacts & { changedSecondsAgo: number },
): string | undefined {
  if (memory.version > version)
    return `memory has version ${memory.version} (${memory.status}), the database ${version} (${status})`;
  const isGone = status === "reserved" && isFinal;
  const isCurrent = memory.version === version;
  if (memory.isGone && !isGone && (isCurrent || changedSecondsAgo > HEARD_WITHIN_SECONDS))
    return `memory refuses it for good at version ${memory.version}, in the database it is ${status} at version ${version}`;
  if (isCurrent && (memory.status === "reserved") !== (status === "reserved"))
    return `at version ${version} memory says ${memory.status}, the database ${status}`;
  return undefined;
}
