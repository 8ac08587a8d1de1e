/** Returns the `Allow` header of a path whose routes have other methods; undefined if it has no routes. */
export function allowedMethods(
  routes: readonly { method: string; path: string }[],
  path: string,
): string | undefined {
  const asked = path.split("/");
  const methods = new Set<string>();
  for (const route of routes) {
    const parts = route.path.split("/");
    const isOfPath =
      parts.length === asked.length &&
      parts.every((part, index) => (part.startsWith(":") ? asked[index] !== "" : part === asked[index]));
    if (!isOfPath) continue;
    methods.add(route.method);
    // A route of GET also answers HEAD.
    if (route.method === "GET") methods.add("HEAD");
  }
  return methods.size > 0 ? [...methods].sort().join(", ") : undefined;
}
