/** Whether the client accepts a body that is compressed with gzip. */
export const acceptsGzip = (headers: Headers): boolean =>
  /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:\s*,|\s*$))/i.test(headers.get("accept-encoding") ?? "");

/** Whether the client already has what the ETag stands for (RFC 9110, section 13.1.2): any of a list, weak or strong, or `*`. */
export const matches = (headers: Headers, etag: string): boolean =>
  headers
    .get("if-none-match")
    ?.split(",")
    .some((each) => ["*", etag, `W/${etag}`].includes(each.trim())) ?? false;
