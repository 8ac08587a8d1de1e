/** Candidates of at least this length may differ in two letters, shorter ones in one. */
const LONG_CHARACTERS = 9;
const SHORTEST_CHARACTERS = 3;

/**
 * Returns the known name that was probably meant. It tolerates missing, extra, wrong and swapped letters, the
 * other case, and other separators.
 * @returns undefined if no name is close, or if the name itself is known
 */
export function meantBy(name: string, known: readonly string[]): string | undefined {
  if (known.includes(name) || name.length < SHORTEST_CHARACTERS) return undefined;
  const given = plain(name);
  let best: { name: string; distance: number } | undefined;
  for (const candidate of known) {
    const limit = candidate.length >= LONG_CHARACTERS ? 2 : 1;
    const distance = distanceOf(given, plain(candidate));
    if (distance <= limit && distance < (best?.distance ?? Number.POSITIVE_INFINITY))
      best = { name: candidate, distance };
  }
  return best?.name;
}

const plain = (name: string) => name.toUpperCase().replace(/[-_.\s]/g, "");

/**
 * Counts the insertions, deletions, substitutions and swaps of neighbours between two words (optimal string
 * alignment).
 */
function distanceOf(from: string, to: string): number {
  let [beforeLast, last]: [number[], number[]] = [
    [],
    Array.from({ length: to.length + 1 }, (_, column) => column),
  ];
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const isSame = from[row - 1] === to[column - 1];
      const isSwapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      current[column] = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (isSame ? 0 : 1),
        isSwapped ? (beforeLast[column - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
      );
    }
    [beforeLast, last] = [last, current];
  }
  return last[to.length] ?? 0;
}
