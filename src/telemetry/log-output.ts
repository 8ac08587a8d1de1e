import { dlopen } from "bun:ffi";
import { constants, fstatSync, openSync, writeSync } from "node:fs";

/** Lines that wait for a reader, or for room on the disk: some 1,000. What comes beyond is dropped and counted. */
const WAITING_LIMIT_BYTES = 256 * 1024;
const RETRY_MS = 100;
/** What waits at the end of the process gets this long. */
const LAST_WORDS_MS = 200;
const LAST_WORDS_POLL_MS = 5;
/** Debian and its like; Alpine and its like. */
const C_LIBRARIES = ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`];
/** From Linux's own headers. */
const F_GETFL = 3;
const F_SETFL = 4;

let droppedLines = 0;

/** How many lines this thread has dropped since it was asked last. */
export function takeDroppedLogLines(): number {
  const dropped = droppedLines;
  droppedLines = 0;
  return dropped;
}

/**
 * Where the log's lines go. A write never waits and never throws, because a sale must not depend on a log line:
 * a reader that is gone (EPIPE), one that has stopped (the pipe is full, or Ctrl-S) and a full disk cost lines only.
 *
 * States: open → (a write fails) → waiting: lines are kept within a bound and tried again → (all are written) →
 * open, and `onBack` hears how many were dropped. Where nobody can read what is kept (EPIPE), it is dropped at once.
 */
export class LogOutput {
  private waiting: Buffer[] = [];
  private waitingBytes = 0;
  private dropped = 0;
  private timer: Timer | undefined;

  /** @param onBack told when lines are written again after some were dropped. */
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
    // While others wait, their timer writes this one too: a line must not cost a failing call each.
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

  /** @returns why not all was written. */
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
 * Standard output as a descriptor whose writes do not wait: of its own where the system can open it once more,
 * because that property is shared with every program that has inherited the descriptor (a shell, `bun run`).
 */
export function openStandardOutput(): number {
  const standardOutput = 1;
  try {
    const { isFile, isSocket } = kindOf(standardOutput);
    if (isFile) return standardOutput;
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
    if (!isSocket) return openSync(`/proc/self/fd/${standardOutput}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    // No such folder (not Linux), or a pipe that another user has made.
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
      // The next one. Not Linux: a reader that has stopped can hold up the log there.
    }
  }
}
