/** Returns NaN for an empty list. */
export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

/** Returns the median of the numbers; a value that one round could not measure is ignored. */
export const medianOfKnown = (values: number[]) => median(values.filter((value) => !Number.isNaN(value)));

/** The fields that are compared within one round, by name. */
export interface Comparable {
  round: number;
  perSecond: number;
  /** The name of what its rate is compared with. */
  comparedWith?: string;
  /** Others with this name are compared with its rate. */
  yardstick?: string;
}

/**
 * Its rate by that of its yardstick in the same round. Rates of different rounds are never compared: a noisy
 * neighbour comes and goes.
 * @returns NaN when the round has no such yardstick.
 */
export function ratioInRound(measured: Comparable, all: readonly Comparable[]): number {
  const { comparedWith, round } = measured;
  const yardstick = all.find(
    (each) => comparedWith !== undefined && each.round === round && each.yardstick === comparedWith,
  );
  return yardstick ? measured.perSecond / yardstick.perSecond : Number.NaN;
}
