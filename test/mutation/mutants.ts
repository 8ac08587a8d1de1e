/** One change to the source that the tests should notice. */
export interface Mutant {
  /** The number by which the mutated code is switched on; differs from run to run. */
  id: string;
  file: string;
  line: number;
  /** The enclosing function, as "name" or "Class.name"; for other code, what it declares. */
  functionName: string;
  operator: string;
  /** Without comments, with single spaces. */
  original: string;
  replacement: string;
}

export type Status = "killed" | "timeout" | "survived" | "uncovered";

export interface TestedMutant extends Mutant {
  name: string;
  status: Status;
  seconds: number;
}

export interface RoomResult {
  room: string;
  /** How many mutants the room has; a sample of them is tested. */
  total: number;
  mutants: TestedMutant[];
}

const textOf = ({ operator, original, replacement }: Mutant) => `${operator}\n${original}\n${replacement}`;

/**
 * The mutants by a name that stays the same while the mutated expression and its function do, though files move.
 * Equal ones in one function are numbered in order, so all mutants of a room are to be named at once.
 */
export function named<M extends Mutant>(mutants: readonly M[]): Map<string, M> {
  return numbered(mutants, (mutant) => `${mutant.functionName}\n${textOf(mutant)}`);
}

/** As `named`, for a function that was renamed. */
export function namedWithoutFunction<M extends Mutant>(mutants: readonly M[]): Map<string, M> {
  return numbered(mutants, textOf);
}

function numbered<M>(mutants: readonly M[], nameOf: (mutant: M) => string): Map<string, M> {
  const counts = new Map<string, number>();
  const all = new Map<string, M>();
  for (const mutant of mutants) {
    const name = nameOf(mutant);
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    all.set(count === 1 ? name : `${name}\n${count}`, mutant);
  }
  return all;
}

/**
 * At most `limit` of all mutants of a room, by name: those of an earlier run first, then those with the lowest hash.
 * So unchanged code yields the same mutants in each run.
 */
export function sample(
  mutants: ReadonlyMap<string, Mutant>,
  limit: number,
  earlier: ReadonlySet<string>,
): Map<string, Mutant> {
  const ranked = [...mutants].map(([name, mutant]) => ({
    name,
    mutant,
    rank: earlier.has(name) ? 0 : 1,
    hash: Bun.hash(name),
  }));
  ranked.sort((one, other) => one.rank - other.rank || (one.hash < other.hash ? -1 : 1));
  return new Map(ranked.slice(0, limit).map(({ name, mutant }) => [name, mutant]));
}
