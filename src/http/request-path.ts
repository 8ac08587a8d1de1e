/**
 * The path that was asked for, as it was written. Not `new URL(request.url)`: without a Host header that could
 * stand in an address Bun gives the path alone, and with one like `[[[` an address that no parser takes; both
 * threw, and the answer was Bun's own 500.
 */
export function pathOf({ url }: Pick<Request, "url">): string {
  const start = url.startsWith("/") ? 0 : url.indexOf("/", url.indexOf("://") + 3);
  if (start === -1) return "/";
  const end = url.slice(start).search(/[?#]/);
  return end === -1 ? url.slice(start) : url.slice(start, start + end);
}
