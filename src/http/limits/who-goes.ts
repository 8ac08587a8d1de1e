import type { Connection } from "./server-sockets.ts";

/** Room that is made at once, so that a flood does not have every connection looked at for each one that comes. */
const ROOM_SHARE = 0.1;
/** A request is decided within this or refused: what came longer ago and has no answer is no whole request. */
const ASKING_MS = 3000;

/** What a connection does that is closed for want of room. */
export type Doing = "silent" | "idle" | "asking";

export interface Goer extends Connection {
  doing: Doing;
}

/**
 * What may be lost with a connection: nothing, where no byte ever came by it; a moment to connect anew, where
 * it was answered last; an answer, where it seems to wait for one.
 */
export function doingOf({ bytesReceived, sentAgoMs, receivedAgoMs }: Connection): Doing {
  if (bytesReceived === 0) return "silent";
  return receivedAgoMs <= sentAgoMs && receivedAgoMs < ASKING_MS ? "asking" : "idle";
}

const SILENT = 0;
const AT_REST = 1;
const LIVELY = 2;

/**
 * A client that was answered a moment ago is as lively as one that seems to ask: of 10 that asked every 300 ms,
 * all were cut between two requests, where 260 trickled bytes under a limit of 200 and only asking counted.
 */
function rankOf({ doing, sentAgoMs }: Goer): number {
  if (doing === "silent") return SILENT;
  return doing === "idle" && sentAgoMs >= ASKING_MS ? AT_REST : LIVELY;
}

/**
 * Who goes where there are more connections than the limit: first those that never sent anything, then those at
 * rest, which neither asked nor were answered of late, then the others; in each the one that was given nothing for
 * the longest. Whoever comes new is thus always let in, and one that trickles bytes goes before whoever was
 * answered since it came. The others go only as far as the limit asks for it.
 */
export function whoGoes(connections: readonly Connection[], limit: number): Goer[] {
  if (connections.length <= limit) return [];
  const inOrder = connections
    .map((connection) => ({ ...connection, doing: doingOf(connection) }))
    .sort((a, b) => rankOf(a) - rankOf(b) || b.sentAgoMs - a.sentAgoMs);
  const lively = inOrder.findIndex((each) => rankOf(each) === LIVELY);
  const wanted = connections.length - Math.floor(limit * (1 - ROOM_SHARE));
  const most = Math.min(wanted, lively === -1 ? inOrder.length : lively);
  return inOrder.slice(0, Math.max(most, connections.length - limit));
}
