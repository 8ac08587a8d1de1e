/** Resolves to whether the promise settles within `limitMs`. A rejection counts as settled. */
export async function settlesWithin(promise: Promise<unknown>, limitMs: number): Promise<boolean> {
  const late = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => late.resolve(false), limitMs);
  timer.unref();
  const settled = Promise.allSettled([promise]).then(() => true);
  try {
    return await Promise.race([settled, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
