import type { BusyReason } from "../venue/outcome.ts";

/** The longest time that a small rest waits while a batch is slow. */
const REST_LIMIT_MS = 5;

export interface GathererOptions<Item> {
  /** Maximum number of batches that run at once. */
  slotCount: number;
  /** Limits of a batch and of the queue, in the unit of `weightOf`. An item above the batch's limit goes alone. */
  batchLimit: number;
  queueLimit: number;
  weightOf(item: Item): number;
  /**
   * Decides a batch; never rejects. The slot is free again when this resolves. `answered` is called when the workers
   * are done with the batch.
   */
  send(batch: Item[], answered: () => void): Promise<void>;
  /** Called for an item that will not be sent. */
  refuse(item: Item, reason: BusyReason): void;
}

/**
 * Gathers requests while workers are busy. A free slot takes everything that has gathered, up to the limit. It does so
 * once that is as much as the running batches carry on average, or after 5 ms.
 *
 * Under light load a batch is one request and leaves at once. Under heavy load batches grow by themselves, as in a
 * database's group commit. If a free slot took any small rest at once, 50 clients would be split into batches of 12,
 * and a batch costs about the same whatever is in it.
 */
export class Gatherer<Item> {
  private queue: Item[] = [];
  private queuedWeight = 0;
  private freeSlots: number;
  /** The batches that workers are deciding, without those in doubt. */
  private readonly underWay = { batches: 0, weight: 0 };
  private scheduled = false;
  private rest: ReturnType<typeof setTimeout> | undefined;
  private refusal: BusyReason | undefined;
  private idle: (() => void) | undefined;

  constructor(private readonly options: GathererOptions<Item>) {
    this.freeSlots = options.slotCount;
  }

  /** The weight of all items that wait for a worker. */
  get queued(): number {
    return this.queuedWeight;
  }

  /** The number of batches that have a slot. */
  get busySlots(): number {
    return this.options.slotCount - this.freeSlots;
  }

  /** Why no more items are accepted now. Undefined if `add` may be called. */
  get isRefusing(): BusyReason | undefined {
    return this.refusal ?? (this.queuedWeight >= this.options.queueLimit ? "overloaded" : undefined);
  }

  add(item: Item): void {
    this.queue.push(item);
    this.queuedWeight += this.options.weightOf(item);
    this.schedule();
  }

  /**
   * Accepts no more items, for that reason, until called with undefined. Queued items are refused too, unless the
   * reason is `draining`.
   */
  refuse(reason: BusyReason | undefined): void {
    this.refusal = reason;
    if (!reason || reason === "draining") return;
    const refused = this.queue;
    this.queue = [];
    this.queuedWeight = 0;
    for (const item of refused) this.options.refuse(item, reason);
  }

  /** Resolves when every accepted item is decided. */
  drained(): Promise<void> {
    if (this.queue.length === 0 && this.busySlots === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.idle = resolve;
    });
  }

  /** Schedules a send after this turn of the event loop, so that all requests read in it share a batch. */
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
