import type { Redis } from "ioredis";
import { z } from "zod";
import type { SeatChange } from "../venue/seat-events.ts";
import { connectRedis, followMaster, isRefusal, type RedisAddress } from "./connect.ts";

const HEARTBEAT_INTERVAL_MS = 250;
/** If our own heartbeat has not returned for this long, changes of others may be lost too. */
const HEARTBEAT_TIMEOUT_MS = 1000;
/** A peer silent for this long has ended or is cut off, and its last messages may be lost. */
const PEER_TIMEOUT_MS = 2000;
/** Bounds the memory for peers. More than this are strangers flooding the channel. */
const PEER_LIMIT = 1000;

/** Seats per message; more seats are split over several messages. */
const SEAT_LIMIT = 512;

const messageSchema = z.object({
  from: z.string().max(500),
  /** Increases by one with each message of a process, sent or not. A gap means that a message was lost. */
  sequence: z.number().int().positive(),
  seats: z
    .array(
      z.tuple([
        z.number().int().positive(),
        z.number().int().nonnegative(),
        z.enum(["available", "held", "reserved"]),
        z.boolean(),
      ]),
    )
    .max(SEAT_LIMIT),
});
type Message = z.output<typeof messageSchema>;

export interface SeatFeedOptions {
  redis: RedisAddress;
  channel: string;
  /** Identifies this process to its peers; ends with `-` and its presence number. */
  processId: string;
  timeoutMs: number;
}

export interface SeatFeedListener {
  onChanges(changes: SeatChange[]): void;
  /** Reads the changes that may have been missed. It is called again if it rejects. */
  catchUp(): Promise<void>;
  onLive(live: boolean): void;
  /** Called at every attempt while Redis and this engine reject one another's certificate or credentials. */
  onRefused?(error: Error): void;
}

/**
 * Sends the seat changes of this process to all others and receives theirs.
 *
 * States:
 * - lost, at the start → live (our own heartbeat returned, and a catch-up read completed).
 * - live → lost (our own heartbeat did not return for 1 s, a peer's sequence has a gap, or a peer is silent
 *   for 2 s).
 * Heartbeats travel through Redis and back, because a hung Redis sends no close event.
 */
export class SeatFeed {
  private readonly publisher: Redis;
  private readonly subscriber: Redis;
  private readonly peers = new Map<string, { sequence: number; heardAt: number }>();
  private listener: SeatFeedListener | undefined;
  private timer: ReturnType<typeof setInterval> | undefined;
  private readonly stopFollowing: () => void;
  private sequence = 0;
  private subscribedAt = Number.NEGATIVE_INFINITY;
  private heardAt = Number.NEGATIVE_INFINITY;
  private live = false;
  /** The catch-up in progress; a loss invalidates it. */
  private catchingUp: Promise<void> | undefined;

  constructor(private readonly options: SeatFeedOptions) {
    this.publisher = connectRedis(options.redis, options.timeoutMs);
    this.subscriber = connectRedis(options.redis, options.timeoutMs);
    this.subscriber.on("error", this.failed);
    this.subscriber.on("ready", () => this.subscribe());
    this.subscriber.on("message", (_channel, text: string) => this.hear(text));
    this.stopFollowing = followMaster(this.publisher, [this.subscriber], `${options.channel}:probe`);
  }

  /** Begins to listen. Before, the feed is lost. */
  start(listener: SeatFeedListener): void {
    this.listener = listener;
    this.timer = setInterval(() => this.beat(), HEARTBEAT_INTERVAL_MS);
  }

  get isLive(): boolean {
    return this.live;
  }

  /** Returns whether the feed carries the changes of the process with this presence number. */
  hears(presence: number): boolean {
    if (!this.live) return false;
    for (const peer of this.peers.keys()) if (peer.endsWith(`-${presence}`)) return true;
    return false;
  }

  /** Without peers, a process only counts: a peer that joins later sees the gap and catches up. */
  publish(seats: SeatChange[]): void {
    if (this.peers.size === 0) this.sequence++;
    else {
      for (let first = 0; first < seats.length; first += SEAT_LIMIT)
        this.send(seats.slice(first, first + SEAT_LIMIT));
    }
  }

  close(): void {
    clearInterval(this.timer);
    this.stopFollowing();
    this.publisher.disconnect();
    this.subscriber.disconnect();
  }

  private readonly failed = (error: Error): void => {
    if (isRefusal(error)) this.listener?.onRefused?.(error);
  };

  private subscribe(): void {
    this.subscribedAt = performance.now();
    this.subscriber.subscribe(this.options.channel).catch(this.failed);
  }

  private send(seats: SeatChange[]): void {
    const message: Message = {
      ...{ from: this.options.processId, sequence: ++this.sequence },
      seats: seats.map(({ seatId, version, status, final }) => [seatId, version, status, final]),
    };
    this.publisher.publish(this.options.channel, JSON.stringify(message)).catch(this.failed);
  }

  private beat(): void {
    const now = performance.now();
    this.send([]);
    for (const [peer, { heardAt }] of this.peers) {
      if (now - heardAt < PEER_TIMEOUT_MS) continue;
      this.peers.delete(peer);
      this.lose();
    }
    if (now - this.heardAt > HEARTBEAT_TIMEOUT_MS) {
      this.lose();
      // A Redis user whose rights are restored keeps its connection but has lost its subscription.
      const isOld = now - this.subscribedAt > HEARTBEAT_TIMEOUT_MS;
      if (isOld && this.subscriber.status === "ready") this.subscribe();
    } else if (!this.live && !this.catchingUp) void this.recover();
  }

  private hear(text: string): void {
    const message = readMessage(text);
    if (!message) return;
    const now = performance.now();
    if (message.from === this.options.processId) {
      this.heardAt = now;
      return;
    }
    const peer = this.peers.get(message.from);
    if (peer ? message.sequence !== peer.sequence + 1 : message.sequence > 1) this.lose();
    if (peer || this.peers.size < PEER_LIMIT) {
      this.peers.set(message.from, { sequence: message.sequence, heardAt: now });
    }
    if (message.seats.length === 0) return;
    this.listener?.onChanges(
      message.seats.map(([seatId, version, status, final]) => ({ seatId, version, status, final })),
    );
  }

  private lose(): void {
    if (this.live) this.listener?.onLive(false);
    this.live = false;
    this.catchingUp = undefined;
  }

  private async recover(): Promise<void> {
    const { listener } = this;
    if (!listener) return;
    const catchingUp = listener.catchUp();
    this.catchingUp = catchingUp;
    const isThrough = await catchingUp.then(
      () => true,
      () => false,
    );
    if (this.catchingUp !== catchingUp) return;
    this.catchingUp = undefined;
    if (!isThrough) return;
    this.live = true;
    listener.onLive(true);
  }
}

/** Validates a message, because anybody with access to Redis can publish on the channel. */
function readMessage(text: string): Message | undefined {
  try {
    return messageSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
