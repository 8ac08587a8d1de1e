import type { Stats } from "node:fs";
import { type FileHandle, lstat, mkdir, open, rename, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { messageOf } from "../../telemetry/log.ts";
import type { EventSink, OutgoingEvent } from "./sink.ts";

const NEWLINE = 10;
const TAIL_BYTES = 65_536;
/** Lines are counted in chunks, so that the thread can do its other work in between. */
const COUNT_BYTES = 1 << 20;

/**
 * Opens a sink that appends events to a file, one JSON line per event (key, headers, value), and syncs before
 * it acknowledges.
 *
 * Other programs can change the file, so the sink compares it with the file at its path before and after each
 * append. If that file is missing, different, or shorter than before, `publish` rejects and nothing is
 * acknowledged. The next sink opens or creates the file at the path, and `countEvents` shows that
 * acknowledged events are missing.
 * @throws if the path is not writable or not a regular file; the message says what to do
 */
export async function openFileSink(path: string): Promise<EventSink> {
  const folder = dirname(path);
  const { file, before } = await openOrCreate(path).catch((error: unknown) => {
    throw new Error(
      `DATA_DIR: ${path} is not writable (${messageOf(error)}): fix that, or choose another folder`,
    );
  });
  try {
    if (!before) await syncFolder(folder);
    await cutHalfLine(file);
    return new FileSink(path, file, (await file.stat()).size);
  } catch (error) {
    await file.close().catch(() => undefined);
    throw error;
  }
}

async function openOrCreate(path: string): Promise<{ file: FileHandle; before: Stats | undefined }> {
  await mkdir(dirname(path), { recursive: true });
  // Opening a pipe would block, and a device would discard the events.
  const before = await statIfThere(path);
  if (before && !before.isFile()) throw new Error("it is not a regular file");
  return { file: await open(path, "a+"), before };
}

class FileSink implements EventSink {
  readonly name: string;
  readonly countsExactly = true;
  private readonly counted = { bytes: 0, lines: 0 };

  constructor(
    private readonly path: string,
    private file: FileHandle,
    /** The bytes that this sink has written or found. */
    private size: number,
  ) {
    this.name = fileSinkName(path);
  }

  async publish(events: OutgoingEvent[]): Promise<undefined> {
    const before = await this.lookAtFile();
    if (before.fault) throw new Error(before.fault);
    await this.file.appendFile(events.map(lineOf).join(""));
    await this.file.datasync();
    const after = await this.lookAtFile();
    if (after.fault) throw new Error(after.fault);
    this.size = after.size;
  }

  /** Counts the events that a reader of the path finds. */
  async countEvents(): Promise<number> {
    const { fault, size } = await this.lookAtFile();
    if (fault) return 0;
    const { counted } = this;
    const buffer = Buffer.alloc(COUNT_BYTES);
    while (counted.bytes < size) {
      const length = Math.min(COUNT_BYTES, size - counted.bytes);
      const { bytesRead } = await this.file.read(buffer, 0, length, counted.bytes);
      if (bytesRead === 0) break;
      counted.lines += countNewlines(buffer.subarray(0, bytesRead));
      counted.bytes += bytesRead;
    }
    return counted.lines;
  }

  /** Keeps the old file beside the new one, with the time in its name. */
  async startOver(): Promise<void> {
    await rename(this.path, await freeName(`${this.path}.until-${secondNow()}`)).catch((error: unknown) => {
      if (!isNotThere(error)) throw error;
    });
    const file = await open(this.path, "a+");
    await syncFolder(dirname(this.path));
    await this.file.close().catch(() => undefined);
    this.file = file;
    this.size = (await file.stat()).size;
    Object.assign(this.counted, { bytes: 0, lines: 0 });
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  /** Compares the open file with the file at the path. */
  private async lookAtFile(): Promise<{ size: number; fault?: string }> {
    const [ours, there] = await Promise.all([this.file.stat(), statIfThere(this.path)]);
    const { size } = ours;
    if (!there) return { size, fault: `${this.path} was deleted or moved` };
    if (there.ino !== ours.ino || there.dev !== ours.dev)
      return { size, fault: `${this.path} was replaced by another file` };
    if (size < this.size)
      return { size, fault: `${this.path} was truncated, from ${this.size} to ${size} bytes` };
    return { size };
  }
}

const secondNow = () => new Date().toISOString().replaceAll(":", "").replace(/\..*/, "");

/** Returns the name, with a number if it is taken, because a rename would replace that file. */
async function freeName(wanted: string): Promise<string> {
  for (let number = 1; ; number++) {
    const name = number === 1 ? wanted : `${wanted}-${number}`;
    if (!(await lstatIfThere(name))) return name;
  }
}

/** Returns the same name for every spelling of the path. */
export const fileSinkName = (path: string): string => `file:${resolve(path)}`;

/** Returns an event as one line, including the newline. */
const lineOf = ({ key, headers, value }: OutgoingEvent): string =>
  `{"key":"${key}","headers":${JSON.stringify(headers)},"value":${value}}\n`;

/**
 * Removes half a line left by a process that died while writing. Its event was not acknowledged and will be
 * sent again.
 */
async function cutHalfLine(file: FileHandle): Promise<void> {
  const { size } = await file.stat();
  const start = Math.max(0, size - TAIL_BYTES);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(TAIL_BYTES), 0, TAIL_BYTES, start);
  const end = buffer.subarray(0, bytesRead).lastIndexOf(NEWLINE) + 1;
  if (end < bytesRead) await file.truncate(start + end);
}

function countNewlines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) count++;
  return count;
}

const statIfThere = (path: string) => unlessMissing(stat(path));
const lstatIfThere = (path: string) => unlessMissing(lstat(path));

async function unlessMissing<Found>(looked: Promise<Found>): Promise<Found | undefined> {
  try {
    return await looked;
  } catch (error) {
    if (isNotThere(error)) return undefined;
    throw error;
  }
}

export const isNotThere = (error: unknown): boolean =>
  error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");

/** Makes a new file's name durable; otherwise a crash of the machine could lose the file. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } catch (error) {
    // Some file systems do not support it and report that.
    if (!/EINVAL|ENOTSUP/.test(messageOf(error))) throw error;
  } finally {
    await handle.close();
  }
}
