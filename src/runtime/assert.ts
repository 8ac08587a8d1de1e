/**
 * Throws where the code's own rules are broken. What comes from outside (a request, a setting, a database row) is
 * checked where it comes in, and has outcomes of its own.
 */

/** @throws Error naming the broken invariant if the condition does not hold. */
export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${invariant}`);
}

/**
 * The element at this index, which must be there.
 * @throws Error naming `what` and the index if it is not.
 */
export function at<Item>(list: ArrayLike<Item>, index: number, what: string): Item {
  const found = list[index];
  assert(found !== undefined, `there is ${what} at ${index} of ${list.length}`);
  return found;
}

/**
 * Marks the end of an exhaustive `switch`: a case that is missing does not compile.
 * @throws Error if a value gets here that the types rule out.
 */
export function never(value: never, what: string): never {
  throw new Error(`unknown ${what}: ${JSON.stringify(value)}`);
}
