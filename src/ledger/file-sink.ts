import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { EventSink, OutgoingEvent } from "./sink.ts";

const NEWLINE = 10;
const TAIL_BYTES = 65_536;

/** Appends events to a file, one JSON line each with key, headers and value, and syncs before it says so. */
export async function openFileSink(path: string): Promise<EventSink> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, "a+");
  await cutHalfLine(file);
  return {
    name: fileSinkName(path),
    publish: async (events) => {
      await file.appendFile(events.map(lineOf).join(""));
      await file.datasync();
    },
    close: () => file.close(),
  };
}

/** The same under every spelling of the path. */
export const fileSinkName = (path: string): string => `file:${resolve(path)}`;

/** An event as one line, its end included. */
const lineOf = ({ key, headers, value }: OutgoingEvent): string =>
  `{"key":"${key}","headers":${JSON.stringify(headers)},"value":${value}}\n`;

/** A process that died while writing left half a line, whose event is not acknowledged and comes again. */
async function cutHalfLine(file: FileHandle): Promise<void> {
  const { size } = await file.stat();
  const start = Math.max(0, size - TAIL_BYTES);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(TAIL_BYTES), 0, TAIL_BYTES, start);
  const end = buffer.subarray(0, bytesRead).lastIndexOf(NEWLINE) + 1;
  if (end < bytesRead) await file.truncate(start + end);
}
