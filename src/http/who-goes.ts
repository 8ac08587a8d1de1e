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

const ORDER: Record<Doing, number> = { silent: 0, idle: 1, asking: 2 };

/**
 * Who goes where there are more connections than the limit: the one that was given nothing for the longest
 * first, among those that never sent anything, then among those at rest. Whoever comes new is thus always let
 * in, and one that trickles bytes gains nothing by them. Those that seem to wait for an answer go only as far as
 * the limit asks for it.
 */
export function whoGoes(connections: readonly Connection[], limit: number): Goer[] {
  if (connections.length <= limit) return [];
  const inOrder = connections
    .map((connection) => ({ ...connection, doing: doingOf(connection) }))
    .sort((a, b) => ORDER[a.doing] - ORDER[b.doing] || b.sentAgoMs - a.sentAgoMs);
  const atRest = inOrder.findIndex(({ doing }) => doing === "asking");
  const wanted = connections.length - Math.floor(limit * (1 - ROOM_SHARE));
  const most = Math.min(wanted, atRest === -1 ? inOrder.length : atRest);
  return inOrder.slice(0, Math.max(most, connections.length - limit));
}
