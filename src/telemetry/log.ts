import pino, { type Logger } from "pino";
import pretty from "pino-pretty";

export type { Logger };

/**
 * JSON lines on stdout; readable ones where stdout is a terminal. Each thread makes its own: writes are
 * synchronous, so nothing is lost when a thread dies. Secrets never get here: URLs are logged by `origin`.
 */
export function createLog(level: string, thread: string): Logger {
  const base = { name: "sentinel", thread };
  if (!process.stdout.isTTY) return pino({ level, base, timestamp: pino.stdTimeFunctions.isoTime });
  return pino(
    { level, base },
    pretty({ sync: true, ignore: "name,pid,hostname", translateTime: "HH:MM:ss.l" }),
  );
}

/** Where a URL leads, without the user and password in it. */
export function originOf(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname === "/" ? "" : pathname}`;
}
