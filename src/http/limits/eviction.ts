import type { Connection } from "./server-sockets.ts";

/** Share of the limit that is freed at once, so that a flood does not cause an examination per new connection. */
const ROOM_SHARE = 0.1;
/** Longest time to decide or refuse a request. Bytes that are older and unanswered are not a complete request. */
const ASKING_MS = 3000;

/** The state of a connection that is closed at the limit. */
export type Doing = "silent" | "idle" | "asking";

export interface Evicted extends Connection {
  doing: Doing;
}

/**
 * Returns what closing a connection would cost. That is nothing if it never sent a byte, a reconnection if it
 * was answered last, a response if it seems to wait for one.
 */
export function doingOf({ bytesReceived, sentAgoMs, receivedAgoMs }: Connection): Doing {
  if (bytesReceived === 0) return "silent";
  return receivedAgoMs <= sentAgoMs && receivedAgoMs < ASKING_MS ? "asking" : "idle";
}

const SILENT = 0;
const AT_REST = 1;
const LIVELY = 2;

/**
 * Ranks connections. A client that was answered a moment ago is as lively as one that seems to wait. When
 * only waiting counted, 10 clients with a request every 300 ms were all cut off between two requests, while
 * 260 others trickled bytes under a limit of 200.
 */
function rankOf({ doing, sentAgoMs }: Evicted): number {
  if (doing === "silent") return SILENT;
  return doing === "idle" && sentAgoMs >= ASKING_MS ? AT_REST : LIVELY;
}

/**
 * Chooses the connections to close above the limit. First the silent ones, then those at rest, which neither
 * sent nor received anything recently, then the others; within each group, those that were sent nothing for
 * the longest. A new connection is therefore always accepted, and one that trickles bytes goes before one
 * that was answered since. Lively ones are closed only as far as the limit requires.
 */
export function chooseEvicted(connections: readonly Connection[], limit: number): Evicted[] {
  if (connections.length <= limit) return [];
  const inOrder = connections
    .map((connection) => ({ ...connection, doing: doingOf(connection) }))
    .sort((a, b) => rankOf(a) - rankOf(b) || b.sentAgoMs - a.sentAgoMs);
  const lively = inOrder.findIndex((each) => rankOf(each) === LIVELY);
  const wanted = connections.length - Math.floor(limit * (1 - ROOM_SHARE));
  const most = Math.min(wanted, lively === -1 ? inOrder.length : lively);
  return inOrder.slice(0, Math.max(most, connections.length - limit));
}
