/** `FAULTS=full bun run test:faults` runs every fault at its full size; without it at one that fits a CI run. */
const isFull = process.env["FAULTS"] === "full";

/** The size of a fault: the first for a CI run, the second for `FAULTS=full`. */
export const sized = <Size>(bounded: Size, full: Size): Size => (isFull ? full : bounded);
