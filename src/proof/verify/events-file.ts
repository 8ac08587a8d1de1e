import { constants, createReadStream, type Stats } from "node:fs";
import { access, stat } from "node:fs/promises";
import { ConfigError } from "../../config/config.ts";
import { fileSinkName, isNotThere } from "../../ledger/sinks/file-sink.ts";
import type { OutgoingEvent } from "../../ledger/sinks/sink.ts";
import { messageOf } from "../../telemetry/log.ts";
import type { EventStore, StoredEvent } from "./event-store.ts";

const BATCH_EVENTS = 5000;
const CHUNK_BYTES = 1 << 20;
const NEWLINE = 10;
/** The form that `lineOf` writes. */
const LINE = /^{"key":"([^"]*)","headers":({[^}]*}),"value":({.*})}\n$/;

/**
 * Opens the events file; a missing file is empty. Its last line may be incomplete while it is being written,
 * and then does not count.
 * @throws {ConfigError} if it exists but cannot be read, so that no event seems to be missing for that reason
 */
export async function openEventsFile(path: string): Promise<EventStore> {
  const sizeNow = () => readableSize(path);
  const settledBytes = await sizeNow();
  return {
    sink: fileSinkName(path),
    removedCount: 0,
    read: async (visit) => {
      let batch: StoredEvent[] = [];
      const size = await sizeNow();
      if (size === 0) return;
      for await (const { line, number, endBytes } of linesOf(path, size)) {
        batch.push({ ...parse(line), place: `line ${number}`, isSettled: endBytes <= settledBytes });
        if (batch.length < BATCH_EVENTS) continue;
        await visit(batch);
        batch = [];
      }
      if (batch.length > 0) await visit(batch);
    },
    close: async () => undefined,
  };
}

async function readableSize(path: string): Promise<number> {
  let found: Stats;
  try {
    found = await stat(path);
    await access(path, constants.R_OK);
  } catch (error) {
    if (isNotThere(error)) return 0;
    throw new ConfigError(
      `DATA_DIR: ${path} cannot be read (${messageOf(error)}): run this as the engine's user`,
    );
  }
  if (!found.isFile())
    throw new ConfigError(
      `DATA_DIR: ${path} is not a regular file, so it holds no events: move it away, or correct DATA_DIR`,
    );
  return found.size;
}

async function* linesOf(path: string, size: number) {
  let rest: Buffer = Buffer.alloc(0);
  let number = 0;
  let endBytes = 0;
  for await (const chunk of createReadStream(path, { end: size - 1, highWaterMark: CHUNK_BYTES })) {
    const bytes = Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, start)) {
      endBytes += end + 1 - start;
      yield { line: bytes.toString("utf8", start, end + 1), number: ++number, endBytes };
      start = end + 1;
    }
    rest = bytes.subarray(start);
  }
}

/** Parses a line. A line that is not ours becomes an event without an identity. */
function parse(line: string): OutgoingEvent {
  const [, key, headers = "", value] = LINE.exec(line) ?? [];
  if (key === undefined || value === undefined) return { key: "", value: line, headers: {} };
  try {
    return { key, value, headers: JSON.parse(headers) };
  } catch {
    return { key, value, headers: {} };
  }
}
