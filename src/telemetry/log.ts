import pino, { type Logger } from "pino";
import type PinoPretty from "pino-pretty";
import { LogOutput, openStandardOutput } from "./log-output.ts";

export type { Logger };

/**
 * Creates the log of a thread: JSON lines on stdout, or readable lines if stdout is a terminal. Lines are
 * written at once if possible, so nothing is lost when a thread dies. Log URLs with `originOf`, never with
 * their secrets.
 */
export function createLog(level: string, thread: string): Logger {
  const base = { name: "sentinel", pid: process.pid, thread };
  const output = new LogOutput(openStandardOutput(), (lines) =>
    log.warn({ lines }, "log lines were dropped because nobody read the log or the disk was full"),
  );
  const log = process.stdout.isTTY
    ? pino({ level, base }, prettyTo(output))
    : pino({ level, base, timestamp: pino.stdTimeFunctions.isoTime }, output);
  return log;
}

function prettyTo(output: LogOutput) {
  // Loaded only for a terminal, because it takes 3 MB of memory.
  const { prettyFactory }: typeof PinoPretty = require("pino-pretty");
  const format = prettyFactory({ ignore: "name,pid,hostname", translateTime: "HH:MM:ss.l" });
  return { write: (line: string) => output.write(format(line)) };
}

/** Returns a URL without its user and password. */
export function originOf(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname === "/" ? "" : pathname}`;
}

/**
 * Longest logged error message. A database may repeat its input, and its sender must not be able to fill the
 * disk.
 */
const MESSAGE_LIMIT_CHARACTERS = 1000;

/**
 * Returns the message of an error. Query errors contain the statement and its parameters, so only their cause
 * is used.
 */
export function messageOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  // None of a name's addresses answered. The error itself has no message; its parts do.
  if (cause instanceof AggregateError && cause.message === "" && cause.errors.length > 0)
    return messageOf(cause.errors[0]);
  const message = cause instanceof Error ? cause.message : String(cause);
  return message.length <= MESSAGE_LIMIT_CHARACTERS
    ? message
    : `${message.slice(0, MESSAGE_LIMIT_CHARACTERS)}... (${message.length} characters)`;
}

/** Logs a repeating fault once when it starts, and not again until it is over. */
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
