import type { BusyReason } from "../venue/outcome.ts";

/** A small rest waits no longer for a batch that is slow. */
const REST_LIMIT_MS = 5;

export interface GathererOptions<Item> {
  /** Batches under way at once. */
  slotCount: number;
  /** What a batch and the queue may carry, in the unit of `weightOf`. An item above the batch's limit goes alone. */
  batchLimit: number;
  queueLimit: number;
  weightOf(item: Item): number;
  /** Decides on a batch; never rejects. Its slot is free again when this resolves; `answered` tells that workers are done with it. */
  send(batch: Item[], answered: () => void): Promise<void>;
  /** The item will not be sent. */
  refuse(item: Item, reason: BusyReason): void;
}

/**
 * Gathers requests while workers are busy; a free slot takes all that has gathered, up to the limit, once
 * that is as much as the batches under way carry on average, or after 5 ms. Under light load a batch is one
 * request and leaves at once, under heavy load batches grow by themselves, like a database's group commit.
 * (A free slot that takes any small rest at once splits 50 clients into batches of 12, and a batch costs
 * about the same whatever is in it.)
 */
export class Gatherer<Item> {
  private queue: Item[] = [];
  private queuedWeight = 0;
  private freeSlots: number;
  /** Batches that workers are deciding on, without those in doubt. */
  private readonly underWay = { batches: 0, weight: 0 };
  private scheduled = false;
  private rest: ReturnType<typeof setTimeout> | undefined;
  private refusal: BusyReason | undefined;
  private idle: (() => void) | undefined;

  constructor(private readonly options: GathererOptions<Item>) {
    this.freeSlots = options.slotCount;
  }

  /** What waits for a worker. */
  get queued(): number {
    return this.queuedWeight;
  }

  /** Batches with a worker now. */
  get busySlots(): number {
    return this.options.slotCount - this.freeSlots;
  }

  /** Why nothing more is taken now; undefined when `add` may be called. */
  get isRefusing(): BusyReason | undefined {
    return this.refusal ?? (this.queuedWeight >= this.options.queueLimit ? "overloaded" : undefined);
  }

  add(item: Item): void {
    this.queue.push(item);
    this.queuedWeight += this.options.weightOf(item);
    this.schedule();
  }

  /** From now on nothing is taken, for that reason, and what is queued is refused too unless it is draining; undefined ends it. */
  refuse(reason: BusyReason | undefined): void {
    this.refusal = reason;
    if (!reason || reason === "draining") return;
    const refused = this.queue;
    this.queue = [];
    this.queuedWeight = 0;
    for (const item of refused) this.options.refuse(item, reason);
  }

  /** Resolves when everything that was taken is decided. */
  drained(): Promise<void> {
    if (this.queue.length === 0 && this.busySlots === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.idle = resolve;
    });
  }

  /** After this turn of the event loop, so that all requests read in it share a batch. */
  private schedule(): void {
    if (this.scheduled || this.freeSlots === 0 || this.queue.length === 0) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      if (!this.isWorthASlot()) {
        this.rest ??= setTimeout(() => this.sendAll(), REST_LIMIT_MS);
        return;
      }
      this.sendAll();
    });
  }

  private isWorthASlot(): boolean {
    return this.queuedWeight * this.underWay.batches >= this.underWay.weight;
  }

  private sendAll(): void {
    clearTimeout(this.rest);
    this.rest = undefined;
    while (this.freeSlots > 0 && this.queue.length > 0) void this.send();
  }

  private async send(): Promise<void> {
    const { batch, weight } = this.nextBatch();
    this.freeSlots--;
    this.underWay.batches++;
    this.underWay.weight += weight;
    let isUnderWay = true;
    const answered = () => {
      if (!isUnderWay) return;
      isUnderWay = false;
      this.underWay.batches--;
      this.underWay.weight -= weight;
      this.schedule();
    };
    try {
      await this.options.send(batch, answered);
    } finally {
      this.freeSlots++;
      answered();
      this.schedule();
      if (this.idle && this.queue.length === 0 && this.busySlots === 0) this.idle();
    }
  }

  private nextBatch(): { batch: Item[]; weight: number } {
    const { batchLimit, weightOf } = this.options;
    let weight = 0;
    let count = 0;
    for (const item of this.queue) {
      const more = weightOf(item);
      if (count > 0 && weight + more > batchLimit) break;
      weight += more;
      count++;
    }
    this.queuedWeight -= weight;
    return { batch: this.queue.splice(0, count), weight };
  }
}
