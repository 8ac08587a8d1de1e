import { readFileSync } from "node:fs";

/** Of one secret or certificate file: four times the bundle of all public authorities. */
const FILE_LIMIT_BYTES = 1_048_576;

/** Certificates and a key as PEM text. Absent: the system's authorities, no certificate of our own. */
export interface TlsFiles {
  ca?: string;
  cert?: string;
  key?: string;
}

/** What a file holds, or why it cannot be read; the reason never holds anything of it. */
export function readText(path: string): { text: string } | { fault: string } {
  try {
    const bytes = readFileSync(path);
    if (bytes.length > FILE_LIMIT_BYTES) return { fault: `is larger than ${FILE_LIMIT_BYTES} bytes` };
    return { text: bytes.toString() };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "no reason given";
    return { fault: `cannot be read (${code})` };
  }
}

/**
 * A secret from the variable itself, or from the file that `<variable>_FILE` names (the convention of
 * Docker's images), without the line end that editors and `echo` leave. An empty variable counts as not set.
 * @returns or the fault, as a line that begins with the variable to correct.
 */
export function readSecret(
  variable: string,
  environment: Record<string, string | undefined>,
): { secret: string | undefined } | { fault: string } {
  const secret = environment[variable];
  const path = environment[`${variable}_FILE`];
  if (!path) return { secret };
  const refuse = (fault: string) => ({ fault: `${variable}_FILE: ${fault}` });
  if (secret) return refuse(`${variable} is set too: set one of the two`);
  const read = readText(path);
  if ("fault" in read) return refuse(`must name a file that holds the secret; this one ${read.fault}`);
  const text = read.text.replace(/\r?\n$/, "");
  if (text === "") return refuse("must name a file that holds the secret; this one is empty");
  if (/[\r\n\0]/.test(text)) return refuse("must name a file that holds the secret in one line");
  return { secret: text };
}
