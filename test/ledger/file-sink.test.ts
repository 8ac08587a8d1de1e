import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { appendFile, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { openFileSink } from "../../src/ledger/sinks/file-sink.ts";
import type { OutgoingEvent } from "../../src/ledger/sinks/sink.ts";
import { tempDir } from "../fixtures/temp-dir.ts";

let dir: Awaited<ReturnType<typeof tempDir>>;
let path: string;
beforeEach(async () => {
  dir = await tempDir("events");
  path = join(dir.path, "data", "booking-events.jsonl");
});
afterEach(() => dir.remove());

const event = (seatId: number, version = 1): OutgoingEvent => ({
  key: String(seatId),
  value: JSON.stringify({ seatId, version, text: 'a "quoted"\nline' }),
  headers: { ce_id: `${seatId}:${version}`, odd: 'with "quotes"\nand a line' },
});

async function publish(...events: OutgoingEvent[]): Promise<void> {
  const sink = await openFileSink(path);
  await sink.publish(events);
  await sink.close();
}

/** What a reader of the file gets, line by line. */
const lines = async () =>
  (await readFile(path, "utf8"))
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line));

const asRead = ({ key, headers, value }: OutgoingEvent) => ({ key, headers, value: JSON.parse(value) });

describe("the events file", () => {
  test("is made with its folder, and holds one JSON line an event, in order", async () => {
    await publish(event(1), event(2), event(1, 2));
    expect(await lines()).toEqual([event(1), event(2), event(1, 2)].map(asRead));
  });

  test("is gone on with by the next sink", async () => {
    await publish(event(1));
    await publish(event(2));
    expect(await lines()).toEqual([event(1), event(2)].map(asRead));
  });

  test.each([
    ["in the middle of a line", '{"key":"9","hea'],
    ["before a line's end", '{"key":"9","headers":{},"value":{}}'],
    ["in the middle of a character", '{"key":"ü'],
  ])("loses what a crash has left half written %s, and nothing else", async (_where, half) => {
    await publish(event(1), event(2));
    await appendFile(path, Buffer.from(half).subarray(0, half.endsWith("ü") ? -1 : undefined));
    await publish(event(3));
    expect(await lines()).toEqual([event(1), event(2), event(3)].map(asRead));
  });

  test("loses a half line at the end of a long file, and no line before it", async () => {
    const many = Array.from({ length: 2000 }, (_, index) => event(index + 1));
    await publish(...many);
    await appendFile(path, "half");
    await publish(event(1, 2));
    expect(await lines()).toEqual([...many, event(1, 2)].map(asRead));
  });

  test("is emptied when a crash left nothing but a half line", async () => {
    await publish(event(1));
    await writeFile(path, "half");
    await publish(event(2));
    expect(await lines()).toEqual([asRead(event(2))]);
  });

  test("is the same sink under every spelling of its path, so that its cursor is found again", async () => {
    const [one, other] = [await openFileSink(path), await openFileSink(relative(process.cwd(), path))];
    expect(one.name).toBe(other.name);
    await Promise.all([one.close(), other.close()]);
  });

  test("keeps every former file when it is started over several times within a second", async () => {
    const sink = await openFileSink(path);
    for (const seatId of [1, 2, 3]) {
      await sink.publish([event(seatId)]);
      await sink.startOver?.();
    }
    await sink.close();
    const names = (await readdir(dirname(path))).filter((name) => name.includes(".until-"));
    const former = await Promise.all(names.map((name) => readFile(join(dirname(path), name), "utf8")));
    expect(former.map((text) => JSON.parse(text).key).toSorted()).toEqual(["1", "2", "3"]);
    expect(await lines()).toEqual([]);
  });

  test("names the setting where it cannot be made", async () => {
    const file = join(dir.path, "file");
    await writeFile(file, "");
    const fault = await openFileSink(join(file, "events")).catch((error: Error) => error.message);
    expect(fault).toMatch(/^DATA_DIR: .+\/file\/events is not writable \(.+\): .+choose another folder$/);
  });

  test("says so when it cannot be written any more", async () => {
    const sink = await openFileSink(path);
    await sink.close();
    const failed = await sink.publish([event(1)]).then(
      () => "published",
      () => "failed",
    );
    expect(failed).toBe("failed");
  });
});
