/**
 * Returns the path of a request as it was written. It does not use `new URL(request.url)`: without a valid
 * Host header Bun gives only the path, and with one like `[[[` a URL that no parser accepts. Both threw, and
 * the response was Bun's own 500.
 */
export function pathOf({ url }: Pick<Request, "url">): string {
  const start = url.startsWith("/") ? 0 : url.indexOf("/", url.indexOf("://") + 3);
  if (start === -1) return "/";
  const end = url.slice(start).search(/[?#]/);
  return end === -1 ? url.slice(start) : url.slice(start, start + end);
}
