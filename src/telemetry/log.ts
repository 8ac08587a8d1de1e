import pino, { type Logger } from "pino";
import type PinoPretty from "pino-pretty";
import { LogOutput, openStandardOutput } from "./log-output.ts";

export type { Logger };

/**
 * JSON lines on stdout, or readable ones if stdout is a terminal. Each thread has its own log: a line is written at once if
 * possible, so nothing is lost when a thread dies. Secrets never get here: URLs are logged by `originOf`.
 */
export function createLog(level: string, thread: string): Logger {
  const base = { name: "sentinel", pid: process.pid, thread };
  const output = new LogOutput(openStandardOutput(), (lines) =>
    log.warn({ lines }, "log lines were dropped while nobody read the log or its disk was full"),
  );
  const log = process.stdout.isTTY
    ? pino({ level, base }, prettyTo(output))
    : pino({ level, base, timestamp: pino.stdTimeFunctions.isoTime }, output);
  return log;
}

function prettyTo(output: LogOutput) {
  // Loaded here only: a process without a terminal has 3 MB more for other things.
  const { prettyFactory }: typeof PinoPretty = require("pino-pretty");
  const format = prettyFactory({ ignore: "name,pid,hostname", translateTime: "HH:MM:ss.l" });
  return { write: (line: string) => output.write(format(line)) };
}

/** Where a URL leads, without the user and password in it. */
export function originOf(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname === "/" ? "" : pathname}`;
}

/** Of a fault's words in the log: a database may repeat what it was sent, and whoever sent it must not fill the disk. */
const MESSAGE_LIMIT_CHARACTERS = 1000;

/** What a fault says of itself. A query's error carries the statement and its parameters; only its cause is told. */
export function messageOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  // A name with several addresses, none of which answers: only what it is made of has words.
  if (cause instanceof AggregateError && cause.message === "" && cause.errors.length > 0)
    return messageOf(cause.errors[0]);
  const message = cause instanceof Error ? cause.message : String(cause);
  return message.length <= MESSAGE_LIMIT_CHARACTERS
    ? message
    : `${message.slice(0, MESSAGE_LIMIT_CHARACTERS)}... (${message.length} characters)`;
}

/** A fault that repeats: one line when it begins, none until it was over. */
export class FaultLog {
  private open = false;

  constructor(
    private readonly log: Logger,
    private readonly message: string,
  ) {}

  met(error: unknown): void {
    if (!this.open) this.log.error({ error: messageOf(error) }, this.message);
    this.open = true;
  }

  over(): void {
    this.open = false;
  }
}
