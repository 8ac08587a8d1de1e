import { dlopen } from "bun:ffi";
import { constants, fstatSync, openSync, writeSync } from "node:fs";

/** Bytes that may wait for a reader or for disk space, about 1,000 lines. Further lines are dropped and counted. */
const WAITING_LIMIT_BYTES = 256 * 1024;
const RETRY_MS = 100;
/** How long the exiting process tries to write the waiting lines. */
const LAST_WORDS_MS = 200;
const LAST_WORDS_POLL_MS = 5;
/** The C libraries of Debian and similar systems, and of Alpine. */
const C_LIBRARIES = ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`];
/** From Linux's headers. */
const F_GETFL = 3;
const F_SETFL = 4;

let droppedLines = 0;

/** Returns how many lines this thread has dropped since the last call. */
export function takeDroppedLogLines(): number {
  const dropped = droppedLines;
  droppedLines = 0;
  return dropped;
}

/**
 * Writes the log's lines. A write never waits and never throws, because a sale must not depend on a log line.
 * A closed reader (EPIPE), a stopped reader (full pipe, Ctrl-S) and a full disk only cost lines.
 *
 * States:
 * - open → waiting (a write fails). If no reader can come back (EPIPE), the waiting lines are dropped at
 *   once.
 * - waiting: lines are kept up to a limit and retried → open (all are written; `onBack` gets the number of
 *   dropped lines).
 */
export class LogOutput {
  private waiting: Buffer[] = [];
  private waitingBytes = 0;
  private dropped = 0;
  private timer: Timer | undefined;

  /** @param onBack called when lines are written again after some were dropped */
  constructor(
    private readonly descriptor: number,
    private readonly onBack: (dropped: number) => void,
  ) {
    process.on("exit", () => this.writeLastWords());
  }

  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.waitingBytes + bytes.byteLength > WAITING_LIMIT_BYTES) {
      this.drop(1);
      return;
    }
    this.waiting.push(bytes);
    this.waitingBytes += bytes.byteLength;
    // Skipped while lines wait: their timer writes this one too, so that not every line costs a failing call.
    if (this.timer === undefined) this.flush();
  }

  private flush(): void {
    this.timer = undefined;
    const fault = this.writeWaiting();
    if (fault === "EPIPE") this.dropWaiting();
    else if (fault !== undefined) this.timer = setTimeout(() => this.flush(), RETRY_MS).unref();
    else if (this.dropped > 0) {
      const { dropped } = this;
      this.dropped = 0;
      this.onBack(dropped);
    }
  }

  /** @returns the error code if not everything was written */
  private writeWaiting(): string | undefined {
    for (let [first] = this.waiting; first; [first] = this.waiting) {
      try {
        const written = writeSync(this.descriptor, first);
        this.waitingBytes -= written;
        if (written === first.byteLength) this.waiting.shift();
        else this.waiting[0] = first.subarray(written);
      } catch (error) {
        return (error instanceof Error && "code" in error && String(error.code)) || "unknown";
      }
    }
    return undefined;
  }

  private dropWaiting(): void {
    this.drop(this.waiting.length);
    this.waiting = [];
    this.waitingBytes = 0;
  }

  private drop(lines: number): void {
    this.dropped += lines;
    droppedLines += lines;
  }

  private writeLastWords(): void {
    const deadline = performance.now() + LAST_WORDS_MS;
    while (this.writeWaiting() === "EAGAIN" && performance.now() < deadline)
      Bun.sleepSync(LAST_WORDS_POLL_MS);
  }
}

/**
 * Returns a descriptor of standard output whose writes do not wait. If the system can open standard output
 * again, this is a new descriptor, because O_NONBLOCK is shared with every program that inherited the old one
 * (a shell, `bun run`).
 */
export function openStandardOutput(): number {
  const standardOutput = 1;
  try {
    const { isFile, isSocket } = kindOf(standardOutput);
    if (isFile) return standardOutput;
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
    if (!isSocket) return openSync(`/proc/self/fd/${standardOutput}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    // /proc is missing (not Linux), or another user created the pipe.
  }
  doNotWait(standardOutput);
  return standardOutput;
}

function kindOf(descriptor: number) {
  const stat = fstatSync(descriptor);
  return { isFile: stat.isFile(), isSocket: stat.isSocket() };
}

function doNotWait(descriptor: number): void {
  for (const library of C_LIBRARIES) {
    try {
      const { symbols: c } = dlopen(library, { fcntl: { args: ["i32", "i32", "i32"], returns: "i32" } });
      c.fcntl(descriptor, F_SETFL, c.fcntl(descriptor, F_GETFL, 0) | constants.O_NONBLOCK);
      return;
    } catch {
      // Tries the next library. Without any (not Linux), a stopped reader can block the log.
    }
  }
}
