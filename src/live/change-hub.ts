import type { LedgerPosition } from "../postgres/ledger.ts";
import { ChangeStream, type DropReason } from "./change-stream.ts";
import type { LedgerTail } from "./ledger-tail.ts";
import type { RecentChanges, Round } from "./recent-changes.ts";
import type { StreamClient, StreamClients } from "./stream-clients.ts";

/** Attempts to read a client's past from the database, before the client is told to start over. */
const REACH_LIMIT_ATTEMPTS = 3;

export interface ChangeHubOptions {
  tail: LedgerTail;
  limitStreams: number;
  clients: StreamClients;
  onDropped(reason: DropReason): void;
}

export interface Listener {
  eventId: number;
  /** The position up to which it knows everything; undefined if it starts now. */
  position: LedgerPosition | undefined;
  client: StreamClient;
  /** Called when its stream has ended; the connection may still be open. */
  onOver(): void;
}

export type Opened =
  /** `missedRows`: the number of changes sent first; undefined if memory no longer has them. */
  | { kind: "open"; body: ReadableStream<Uint8Array>; missedRows: number | undefined }
  | { kind: "full" }
  /** The client has its maximum of streams. */
  | { kind: "too-many" }
  | { kind: "closing" }
  | { kind: "unknown-position" };

/** All listeners to seat changes, by event. */
export class ChangeHub {
  private readonly byEvent = new Map<number, Set<ChangeStream>>();
  private count = 0;
  private closing = false;

  constructor(private readonly options: ChangeHubOptions) {}

  /** Clients that listen now. */
  get size(): number {
    return this.count;
  }

  hasListeners(eventId: number): boolean {
    return this.byEvent.has(eventId);
  }

  /** @throws if the database cannot be asked for the ledger's position */
  async open(listener: Listener): Promise<Opened> {
    const { tail, limitStreams, clients } = this.options;
    const { client } = listener;
    if (this.closing) return { kind: "closing" };
    if (this.count >= limitStreams) return { kind: "full" };
    if (!clients.enter(client)) return { kind: "too-many" };
    this.count++;
    const recent = await tail.listen().catch((error: unknown) => {
      this.count--;
      clients.leave(client);
      throw error;
    });
    let stream: ChangeStream | undefined;
    try {
      const { position } = listener;
      if (position && !(await tail.canBePast(position))) return { kind: "unknown-position" };
      if (this.closing) return { kind: "closing" };
      stream = this.add(listener, recent);
      return { kind: "open", body: stream.body, missedRows: position ? recent.rowsAfter(position) : 0 };
    } finally {
      if (!stream) this.leave(client);
    }
  }

  publish(round: Round): void {
    for (const eventId of round.bytesByEvent.keys()) {
      for (const stream of this.byEvent.get(eventId) ?? []) stream.take(round);
    }
  }

  /** Tells all streams that another epoch has begun. */
  startOver(): void {
    for (const streams of this.byEvent.values()) for (const stream of streams) stream.startOver();
  }

  /** Ends every stream with a closing message, and accepts no new ones. */
  close(): void {
    this.closing = true;
    for (const streams of this.byEvent.values()) for (const stream of streams) stream.end("shutdown");
  }

  private add({ eventId, position, client, onOver }: Listener, recent: RecentChanges): ChangeStream {
    const { clients } = this.options;
    const streams = this.byEvent.get(eventId) ?? new Set();
    this.byEvent.set(eventId, streams);
    const stream = new ChangeStream({
      ...{ eventId, position, recent },
      onOver: (dropped) => {
        streams.delete(stream);
        if (streams.size === 0) this.byEvent.delete(eventId);
        clients.over(client, stream);
        this.leave(client);
        if (dropped) this.options.onDropped(dropped);
        onOver();
      },
    });
    streams.add(stream);
    clients.opened(client, stream);
    if (position) void this.bringUpToDate(stream, position);
    return stream;
  }

  private async bringUpToDate(stream: ChangeStream, position: LedgerPosition): Promise<void> {
    const { tail } = this.options;
    for (let attempt = 1; attempt <= REACH_LIMIT_ATTEMPTS && !stream.isOver; attempt++) {
      const isThrough = await tail.reachBack(position).then(
        () => true,
        () => false,
      );
      if (isThrough) break;
      await tail.nextRound();
    }
    stream.begin();
  }

  private leave(client: StreamClient): void {
    this.count--;
    this.options.clients.leave(client);
    this.options.tail.leave();
  }
}
