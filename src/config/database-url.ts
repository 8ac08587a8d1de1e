import { readText } from "./secret-files.ts";

/** As libpq names them, without `allow` (plain text first), and `no-verify`, which is node-postgres's own. */
const MODES = ["disable", "prefer", "require", "verify-ca", "verify-full", "no-verify"];

/** node-postgres would read over these, and the connection would be less safe than was asked for. */
const UNSUPPORTED = ["sslcrl", "sslcrldir", "sslpassword", "ssl_min_protocol_version", "require_auth"];

const FILES = ["sslrootcert", "sslcert", "sslkey"];

/** node-postgres heeds `PGSSLMODE` where a URL says nothing, and takes a word that it does not know for plain text. */
export function pgSslModeFault(mode: string | undefined): string | undefined {
  return !mode || MODES.includes(mode) ? undefined : `PGSSLMODE: must be one of ${MODES.join(", ")}`;
}

/**
 * Why the TLS that a URL of Postgres asks for cannot be had.
 * @returns words that follow the variable's name, or undefined.
 */
export function databaseUrlFault(url: string): string | undefined {
  const { searchParams } = new URL(url);
  const mode = searchParams.get("sslmode");
  if (mode !== null && !MODES.includes(mode)) return `sslmode must be one of ${MODES.join(", ")}`;
  const unsupported = UNSUPPORTED.find((name) => searchParams.has(name));
  if (unsupported !== undefined) return `${unsupported} is not supported: leave it out`;
  for (const name of FILES) {
    const path = searchParams.get(name);
    if (path === null) continue;
    if (mode === "disable")
      return `sslmode is disable, so nothing would use ${name}: leave one of the two out`;
    const read = readText(path);
    if ("fault" in read) return `${name} must be the path of a PEM file; this one ${read.fault}`;
  }
  return undefined;
}

/**
 * `prefer`, `require` and `verify-ca` become `verify-full`: node-postgres 8 takes them so, with a warning, and 9
 * will not. Whoever wants libpq's weaker meaning says `uselibpqcompat=true`, and never gets plain text either.
 */
export function withVerifiedTls(url: string): string {
  if (new URL(url).searchParams.get("uselibpqcompat") === "true") return url;
  return url.replace(/([?&]sslmode=)(?:prefer|require|verify-ca)(?=[&#]|$)/g, "$1verify-full");
}
