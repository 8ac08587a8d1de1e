import { seededRandom, shuffle } from "./random.ts";

/**
 * Zipf's law: the seat of rank r is requested in proportion to 1 / r^1. Of 100,000 seats, the first then gets
 * 8 %.
 */
export const ZIPF_EXPONENT = 1;
const SEED = 20_251_122;

/**
 * Computes how many of the requests each rank gets: at least one, so that the sale ends sold out, and beyond
 * that by Zipf's law with the given exponent. The remainder of rounding goes to the first ranks, one each.
 * @throws if there are fewer requests than ranks
 */
export function zipfCounts(rankCount: number, requestCount: number, exponent: number): Uint32Array {
  if (requestCount < rankCount) throw new Error("fewer requests than seats cannot sell them out");
  let total = 0;
  for (let rank = 1; rank <= rankCount; rank++) total += rank ** -exponent;
  const shared = requestCount - rankCount;
  const counts = new Uint32Array(rankCount);
  let given = 0;
  for (let rank = 1; rank <= rankCount; rank++) {
    const count = 1 + Math.floor((shared * rank ** -exponent) / total);
    counts[rank - 1] = count;
    given += count;
  }
  for (let index = 0; given < requestCount; index++, given++) counts[index] = (counts[index] ?? 0) + 1;
  return counts;
}

/** Returns the seats in the order of a crowd's requests. The rank of each seat is random too, and seeded. */
export function crowdSequence(firstSeatId: number, seatCount: number, requestCount: number): Uint32Array {
  const random = seededRandom(SEED);
  const seats = Uint32Array.from({ length: seatCount }, (_, index) => firstSeatId + index);
  shuffle(seats, random);
  const sequence = new Uint32Array(requestCount);
  let end = 0;
  for (const [rank, count] of zipfCounts(seatCount, requestCount, ZIPF_EXPONENT).entries()) {
    sequence.fill(seats[rank] ?? 0, end, end + count);
    end += count;
  }
  shuffle(sequence, random);
  return sequence;
}
