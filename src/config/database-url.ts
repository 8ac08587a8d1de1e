import { readText } from "./secret-files.ts";

/** libpq's modes without `allow` (which prefers plain text), plus node-postgres's own `no-verify`. */
const MODES = ["disable", "prefer", "require", "verify-ca", "verify-full", "no-verify"];

/** Parameters that node-postgres would ignore, leaving the connection less secure than requested. */
const UNSUPPORTED = ["sslcrl", "sslcrldir", "sslpassword", "ssl_min_protocol_version", "require_auth"];

const FILES = ["sslrootcert", "sslcert", "sslkey"];

/**
 * Validates `PGSSLMODE`, which node-postgres uses if the URL has no `sslmode`. It treats an unknown mode as
 * plain text.
 */
export function pgSslModeFault(mode: string | undefined): string | undefined {
  return !mode || MODES.includes(mode) ? undefined : `PGSSLMODE: must be one of ${MODES.join(", ")}`;
}

/** Returns why a Postgres URL's TLS settings are unusable, as words to follow the variable's name, or undefined. */
export function databaseUrlFault(url: string): string | undefined {
  const { searchParams } = new URL(url);
  const mode = searchParams.get("sslmode");
  if (mode !== null && !MODES.includes(mode)) return `sslmode must be one of ${MODES.join(", ")}`;
  const unsupported = UNSUPPORTED.find((name) => searchParams.has(name));
  if (unsupported !== undefined) return `${unsupported} is not supported: remove it`;
  for (const name of FILES) {
    const path = searchParams.get(name);
    if (path === null) continue;
    if (mode === "disable") return `sslmode is disable, so ${name} would be unused: remove one of the two`;
    const read = readText(path);
    if ("fault" in read) return `${name} must be the path of a PEM file; this one ${read.fault}`;
  }
  return undefined;
}

/**
 * Replaces `prefer`, `require` and `verify-ca` by `verify-full`. node-postgres 8 does the same, with a
 * warning; version 9 will not. `uselibpqcompat=true` selects libpq's weaker meaning, which is never plain
 * text either.
 */
export function withVerifiedTls(url: string): string {
  if (new URL(url).searchParams.get("uselibpqcompat") === "true") return url;
  return url.replace(/([?&]sslmode=)(?:prefer|require|verify-ca)(?=[&#]|$)/g, "$1verify-full");
}
