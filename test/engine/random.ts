/** A seed for random data, printed, so that a failure can be had again by putting it here. */
export function seedOf(file: string): number {
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.log(`${file}: seed ${seed}`);
  return seed;
}

/** Numbers from 0 to 1 (Mulberry32: small, and the same everywhere for a seed). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
