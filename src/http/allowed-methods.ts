/** `Allow` of a path that has routes, none of them of the method asked for; undefined where it has none. */
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
    // Whatever can be got is answered without its body too.
    if (route.method === "GET") methods.add("HEAD");
  }
  return methods.size > 0 ? [...methods].sort().join(", ") : undefined;
}
