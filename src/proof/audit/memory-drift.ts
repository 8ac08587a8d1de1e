import type { SeatMemory, SeatStatus } from "../../venue/seat-memory.ts";
import type { SeatFacts } from "./seat-look.ts";

/**
 * How long memory may keep refusing a seat that was given back, because its buyer was told to try again.
 * Other processes learn of it by the change feed or, if that is lost, read it within 5 s.
 */
const HEARD_WITHIN_SECONDS = 15;

/** A seat's state in this process's memory at one moment. */
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
 * Returns how memory contradicts the database, which was read later. Memory may be older, which costs a buyer
 * one more read. It must not be newer or more final, which would refuse a free seat. Free and held are
 * interchangeable: an expired hold counts as free at the same version.
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
