import { comparePositions, type LedgerPosition } from "../postgres/ledger.ts";
import { positionText } from "./position.ts";
import { bytesAfter, type RecentChanges, type Round } from "./recent-changes.ts";

/** Less than 30 s, after which common proxies close a silent connection. */
const HEARTBEAT_MS = 15_000;
/** Heartbeats without room before a client is considered stuck, however little it is owed. */
const MISSED_HEARTBEAT_LIMIT = 2;
/** Bytes handed to one client's socket beyond what it has taken. */
const SOCKET_BUFFER_BYTES = 64 * 1024;
/** How far a client may fall behind, about 2,300 changes. They are in the memory that all clients share. */
const OWED_LIMIT_BYTES = 256 * 1024;
/** Clients that were cut off reconnect spread over this interval, not all at once. */
const RETRY_FROM_MS = 1000;
const RETRY_TO_MS = 5000;

export type DropReason = "slow-consumer";
/**
 * Why the server ends a healthy stream: the server stops, the key that opened the stream was revoked, or an
 * administrator has denied the caller.
 */
export type ClosingReason = "shutdown" | "key-revoked" | "caller-denied";

export interface ChangeStreamOptions {
  eventId: number;
  /** The position up to which the client knows everything; undefined if it starts now. */
  position: LedgerPosition | undefined;
  recent: RecentChanges;
  /** @param dropped the reason, if the client was cut off for being slow */
  onOver(dropped?: DropReason): void;
}

const encoder = new TextEncoder();

/**
 * One client's stream of one event's changes. It has no queue of its own: it is a position in the shared
 * recent changes, and takes from there what its socket has room for.
 *
 * States:
 * - waiting: its missed changes are being read → behind (they were read, or cannot be).
 * - behind: it is being given older changes → live (it has been given everything).
 * - live → behind (its socket is full).
 * - over: from every state, when the client leaves, is dropped (256 KiB behind, or stuck), or the server ends
 *   it.
 */
export class ChangeStream {
  readonly body: ReadableStream<Uint8Array>;
  private controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  private state: "waiting" | "behind" | "live" | "over";
  private position: LedgerPosition;
  /** Bytes the client is behind, counted since it was first live: what it missed before is not its fault. */
  private owedBytes: number | undefined;
  private missedHeartbeats = 0;
  private readonly heartbeat: ReturnType<typeof setInterval>;

  constructor(private readonly options: ChangeStreamOptions) {
    const { position, recent, eventId } = options;
    this.position = position ?? recent.end;
    this.state = position ? "waiting" : "live";
    this.owedBytes = position ? undefined : 0;
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.controller = controller;
        },
        pull: () => this.catchUp(),
        // Bun also calls this if the client left before its response began.
        cancel: () => this.finish(),
      },
      { highWaterMark: SOCKET_BUFFER_BYTES, size: (bytes?: Uint8Array) => bytes?.byteLength ?? 0 },
    );
    this.heartbeat = setInterval(() => this.beat(), HEARTBEAT_MS);
    const retryMs = Math.round(RETRY_FROM_MS + Math.random() * (RETRY_TO_MS - RETRY_FROM_MS));
    this.write(`retry: ${retryMs}\n\n`);
    if (!position) this.write(message("ready", { eventId }, this.position));
  }

  get isOver(): boolean {
    return this.state === "over";
  }

  /** Starts sending: the missed changes are in memory now, or no longer available. */
  begin(): void {
    if (this.state !== "waiting") return;
    this.state = "behind";
    this.catchUp();
  }

  /** Takes a round with changes of its event. */
  take(round: Round): void {
    if (this.state === "waiting" || this.state === "over") return;
    const bytes = bytesAfter(round, this.options.eventId, this.position);
    if (!bytes) return;
    if (this.state === "live" && this.hasRoom) {
      this.write(bytes);
      return;
    }
    if (this.state === "live") {
      this.state = "behind";
      if (comparePositions(this.position, round.after) < 0) this.position = round.after;
    }
    if (this.owedBytes === undefined) return;
    this.owedBytes += bytes.byteLength;
    if (this.owedBytes > OWED_LIMIT_BYTES) this.drop("slow-consumer");
  }

  /** Handles a restart of the recent changes in another epoch, which may have undone what the client knows. */
  startOver(): void {
    if (this.state === "live") this.state = "behind";
    this.catchUp();
  }

  end(reason: ClosingReason): void {
    if (this.state === "over") return;
    this.close(message("closing", { reason }));
  }

  private drop(reason: DropReason): void {
    this.close(message("dropped", { reason }), reason);
  }

  private close(lastWord: string, dropped?: DropReason): void {
    this.write(lastWord);
    if (this.isOver) return;
    this.controller?.close();
    this.finish(dropped);
  }

  /** Sends what the socket has room for; called again when there is more room. */
  private catchUp(): void {
    const { recent, eventId } = this.options;
    while (this.state === "behind" && this.hasRoom) {
      const next = recent.next(this.position);
      if (next === undefined) {
        this.state = "live";
        this.owedBytes = 0;
      } else if (next === "lost") {
        const reason = this.position.epoch < recent.start.epoch ? "restored" : "too-old";
        this.position = recent.end;
        this.write(message("reset", { reason }, this.position));
      } else {
        const bytes = bytesAfter(next, eventId, this.position);
        this.position = next.end;
        if (!bytes) continue;
        this.write(bytes);
        if (this.owedBytes !== undefined) this.owedBytes = Math.max(0, this.owedBytes - bytes.byteLength);
      }
    }
  }

  /**
   * Keeps the connection alive. It also advances the client's last event id, which would otherwise become too
   * old to resume from if its event is quiet and others are busy.
   */
  private beat(): void {
    if (!this.hasRoom) {
      if (++this.missedHeartbeats >= MISSED_HEARTBEAT_LIMIT) this.drop("slow-consumer");
      return;
    }
    this.missedHeartbeats = 0;
    const { end } = this.options.recent;
    const knowsAll = this.state === "live" && comparePositions(this.position, end) <= 0;
    this.write(knowsAll ? `:\nid: ${positionText(end)}\n\n` : ":\n\n");
  }

  private get hasRoom(): boolean {
    return (this.controller?.desiredSize ?? 0) > 0;
  }

  private write(bytes: Uint8Array | string): void {
    // The connection has just broken. Throwing here would end the round for all later clients.
    if (this.controller?.desiredSize === null) this.finish();
    else this.controller?.enqueue(typeof bytes === "string" ? encoder.encode(bytes) : bytes);
  }

  private finish(dropped?: DropReason): void {
    if (this.state === "over") return;
    this.state = "over";
    clearInterval(this.heartbeat);
    this.options.onOver(dropped);
  }
}

function message(event: string, data: object, position?: LedgerPosition): string {
  const id = position ? `id: ${positionText(position)}\n` : "";
  return `${id}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
