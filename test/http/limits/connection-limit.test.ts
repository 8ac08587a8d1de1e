import { afterEach, beforeEach, expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { ConnectionLimit } from "../../../src/http/limits/connection-limit.ts";
import type { ServerSockets } from "../../../src/http/limits/server-sockets.ts";
import { findLinux, partOrSkip } from "../../fixtures/parts.ts";
import { untilWithin } from "../../fixtures/until.ts";

const LIMIT = 20;
/** It looks ten times a second and counts every 5 s. */
const LOOKED = [2000, "the limit has looked"] as const;
const COUNTED = [15_000, "the limit has counted"] as const;

// Whatever it opens are real descriptors; which of them are connections, and what they do, each test says.
const linux = await partOrSkip("linux", findLinux);
const onLinux = test.skipIf(!linux);

let opened: number[];
let connections: Map<number, { sentAgoMs: number }>;
let ended: number[];
let counts: number[];
let limit: ConnectionLimit;

const sockets: ServerSockets = {
  look: (descriptor) => {
    const found = connections.get(descriptor);
    return found && { descriptor, bytesReceived: 9, sentAgoMs: found.sentAgoMs, receivedAgoMs: 60_000 };
  },
  isConnection: (descriptor) => connections.has(descriptor),
  end: (descriptor) => {
    connections.delete(descriptor);
    ended.push(descriptor);
  },
};

beforeEach(() => {
  opened = [];
  connections = new Map();
  ended = [];
  counts = [];
});
afterEach(() => {
  limit.stop();
  for (const descriptor of opened) closeSync(descriptor);
});

const open = (count: number) => {
  const descriptors = Array.from({ length: count }, () => openSync("/dev/null", "r"));
  opened.push(...descriptors);
  return descriptors;
};
const start = (given: ServerSockets = sockets) => {
  limit = new ConnectionLimit({
    ...{ sockets: given, limit: LIMIT },
    onCount: (count) => counts.push(count),
    onClosed: () => undefined,
  });
};

onLinux("files that were open for a while make no room for connections once they are closed", async () => {
  start();
  open(LIMIT * 5);
  await untilWithin(...LOOKED, () => counts.length > 0);
  for (const descriptor of opened.splice(0)) closeSync(descriptor);
  const before = counts.length;
  await untilWithin(...COUNTED, () => counts.length > before);
  for (const descriptor of open(LIMIT * 2)) connections.set(descriptor, { sentAgoMs: 10_000 });
  await untilWithin(...LOOKED, () => connections.size <= LIMIT);
});

onLinux("a connection that was answered while room was made stays", async () => {
  const all = open(LIMIT + 5);
  const [answered = -1] = all;
  for (const descriptor of all) connections.set(descriptor, { sentAgoMs: 10_000 });
  connections.set(answered, { sentAgoMs: 20_000 });
  start({
    ...sockets,
    look: (descriptor) => {
      const seen = sockets.look(descriptor);
      if (descriptor === answered) connections.set(answered, { sentAgoMs: 5 });
      return seen;
    },
  });
  await untilWithin(...LOOKED, () => ended.length > 0);
  expect(ended).not.toContain(answered);
});
