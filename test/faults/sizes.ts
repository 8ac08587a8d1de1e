/** `FAULTS=full bun run test:faults` runs every fault at its full size; without it at one that fits a CI run. */
const isFull = process.env["FAULTS"] === "full";

/** The size of a fault: the first for a CI run, the second for `FAULTS=full`. */
export const sized = <Size>(bounded: Size, full: Size): Size => (isFull ? full : bounded);

/** Of a test, for `setDefaultTimeout`, which is stronger than the command line. */
export const FAULT_TIMEOUT_MS = sized(120_000, 900_000);
