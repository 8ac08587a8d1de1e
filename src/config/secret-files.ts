import { readFileSync } from "node:fs";

/** Limit for a secret or certificate file: four times the bundle of all public authorities. */
const FILE_LIMIT_BYTES = 1_048_576;

/** Certificates and a key as PEM text. Absent fields mean the system's authorities and no certificate of our own. */
export interface TlsFiles {
  ca?: string;
  cert?: string;
  key?: string;
}

/** Reads a file. A fault says why it cannot be read and never contains any of its text. */
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
 * Reads a secret from its variable, or from the file named by `<variable>_FILE` (the convention of Docker's
 * images). The trailing newline that editors and `echo` leave is removed. An empty variable counts as unset.
 * @returns the secret, or a fault: a line that starts with the variable to correct
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
  if ("fault" in read) return refuse(`must name a file that contains the secret; this one ${read.fault}`);
  const text = read.text.replace(/\r?\n$/, "");
  if (text === "") return refuse("must name a file that contains the secret; this one is empty");
  if (/[\r\n\0]/.test(text)) return refuse("must name a file that contains the secret in one line");
  return { secret: text };
}
