import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { fileSinkName } from "../file-sink.ts";
import type { OutgoingEvent } from "../sink.ts";
import type { EventStore, StoredEvent } from "./event-store.ts";

const BATCH_EVENTS = 5000;
const CHUNK_BYTES = 1 << 20;
const NEWLINE = 10;
/** As `lineOf` makes it. */
const LINE = /^{"key":"([^"]*)","headers":({[^}]*}),"value":({.*})}\n$/;

/** The events file. Its last line may still be being written: without an end it does not count. */
export async function openEventsFile(path: string): Promise<EventStore> {
  const sizeNow = () =>
    stat(path).then(
      ({ size }) => size,
      () => 0,
    );
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

/** A line that is not one of ours is an event that is nobody's. */
function parse(line: string): OutgoingEvent {
  const [, key, headers = "", value] = LINE.exec(line) ?? [];
  if (key === undefined || value === undefined) return { key: "", value: line, headers: {} };
  try {
    return { key, value, headers: JSON.parse(headers) };
  } catch {
    return { key, value, headers: {} };
  }
}
