import type { Role } from "../http/caller.ts";
import type { StoredKey } from "../postgres/api-keys.ts";
import { Breaker } from "../runtime/breaker.ts";
import { idOfApiKey, isApiKey } from "./api-key.ts";

/** A checked key is trusted for this long. Later requests still use it while it is looked up again. */
const REFRESH_INTERVAL_MS = 1000;
/** Beyond this age a key is looked up before it is trusted, as it may have been revoked long ago. */
const STALE_AGE_MS = 2000;
/** Longest wait for a known key. If the database answers nobody else either, it is considered unavailable. */
const LOOK_UP_TIMEOUT_MS = 500;
/** Longest wait for an unknown key while the database answers others: a busy machine is not an outage. */
const PATIENCE_MS = 2000;
/** Keys remembered; the least recently used are forgotten first. */
const KEY_LIMIT = 10_000;
/** Ids without a key, remembered for as long as a key is trusted, so that trying one repeatedly costs one look-up. */
const ABSENT_LIMIT = 1000;
/** Ids that wait for a look-up. One more is refused and may try again. */
const WANTED_LIMIT = 1000;

export type FoundKey =
  | { kind: "known"; keyId: string; role: Role }
  /** There is no such key, or it is revoked. */
  | { kind: "wrong" }
  /** The key is unknown here, and the database is unavailable. */
  | { kind: "unavailable" };

interface Remembered {
  role: Role;
  keyHash: Buffer;
  isRevoked: boolean;
  checkedAt: number;
}

const WRONG = { kind: "wrong" } as const;
const UNAVAILABLE = { kind: "unavailable" } as const;

/**
 * The API keys in memory. A key is looked up when it is first presented and then, while it is used, once a
 * second, so that one revoked by another process stops within 2 s. One look-up runs at a time; ids that
 * arrive meanwhile share the next. While the database is unavailable, known keys keep their last state.
 */
export class ApiKeys {
  private readonly known = new Map<string, Remembered>();
  private readonly absent = new Map<string, number>();
  private readonly underWay = new Map<string, PromiseWithResolvers<void>>();
  private readonly wanted = new Map<string, PromiseWithResolvers<void>>();
  private asking = false;
  /** The last look-up is slow: known keys keep their state, others still wait. */
  private isLate = false;
  /** Open while the database is considered unavailable: known keys keep their state, others are refused at once. */
  private readonly breaker: Breaker;

  /**
   * @param read returns the keys that exist among these ids, including revoked ones; rejects if the database
   * is unavailable
   * @param now milliseconds of a clock that never goes back
   * @param databaseAnswers whether the database answers others, as far as is known
   */
  constructor(
    private readonly read: (ids: string[]) => Promise<StoredKey[]>,
    private readonly now: () => number = () => performance.now(),
    private readonly databaseAnswers: () => boolean = () => false,
  ) {
    this.breaker = new Breaker({ retryMs: REFRESH_INTERVAL_MS, now });
  }

  /** Finds the owner of a key; synchronous if memory knows it. */
  find(key: string): FoundKey | Promise<FoundKey> {
    const id = idOfApiKey(key);
    if (id === undefined) return WRONG;
    const now = this.now();
    const remembered = this.known.get(id);
    if (remembered) {
      if (!isApiKey(key, remembered.keyHash)) return WRONG;
      const age = now - remembered.checkedAt;
      const lookedUp = age < REFRESH_INTERVAL_MS ? undefined : this.lookUp(id);
      if (age < STALE_AGE_MS || this.isLate || this.breaker.isOpen || !lookedUp)
        return judged(id, remembered);
      return lookedUp.then(() => judged(id, this.known.get(id) ?? { ...remembered, isRevoked: true }));
    }
    if (now - (this.absent.get(id) ?? Number.NEGATIVE_INFINITY) < REFRESH_INTERVAL_MS) return WRONG;
    const lookedUp = this.lookUp(id);
    if (this.breaker.isOpen || !lookedUp) return UNAVAILABLE;
    return lookedUp.then(() => {
      const found = this.known.get(id);
      if (found) return isApiKey(key, found.keyHash) ? judged(id, found) : WRONG;
      return this.absent.has(id) ? WRONG : UNAVAILABLE;
    });
  }

  /**
   * Returns the keys that are revoked or missing in the database now. A request looks its key up once; this
   * is for what outlives a request.
   * @throws if the database is unavailable
   */
  async findRevoked(ids: string[]): Promise<string[]> {
    const revoked: string[] = [];
    for (let first = 0; first < ids.length; first += WANTED_LIMIT) {
      const some = ids.slice(first, first + WANTED_LIMIT);
      const found = await this.read(some);
      this.learn(some, found);
      const valid = new Set(found.filter(({ revokedAt }) => revokedAt === null).map(({ id }) => id));
      revoked.push(...some.filter((id) => !valid.has(id)));
    }
    return revoked;
  }

  /** Forgets a key that was revoked here, so that it is looked up before it is trusted again. */
  forget(id: string): void {
    this.known.delete(id);
  }

  /** Resolves when the id was looked up or that took too long; undefined if it will not be looked up now. */
  private lookUp(id: string): Promise<void> | undefined {
    const waiting = this.underWay.get(id) ?? this.wanted.get(id);
    if (waiting) return waiting.promise;
    if (!this.breaker.admits || this.wanted.size >= WANTED_LIMIT) return undefined;
    const lookedUp = Promise.withResolvers<void>();
    this.wanted.set(id, lookedUp);
    if (!this.asking) void this.askForAll();
    return lookedUp.promise;
  }

  private async askForAll(): Promise<void> {
    this.asking = true;
    while (this.wanted.size > 0) {
      for (const [id, waiting] of this.wanted) this.underWay.set(id, waiting);
      this.wanted.clear();
      await this.ask([...this.underWay.keys()]);
      for (const waiting of this.underWay.values()) waiting.resolve();
      this.underWay.clear();
    }
    this.asking = false;
  }

  private async ask(ids: string[]): Promise<void> {
    let waitedMs = 0;
    const timer = setInterval(() => {
      waitedMs += LOOK_UP_TIMEOUT_MS;
      if (waitedMs < PATIENCE_MS && this.databaseAnswers()) this.believe();
      else this.giveUp();
    }, LOOK_UP_TIMEOUT_MS);
    try {
      this.learn(ids, await this.read(ids));
      this.breaker.succeed();
      this.isLate = false;
    } catch {
      this.giveUp();
    }
    clearInterval(timer);
  }

  /** Lets known keys keep their state without waiting. */
  private believe(): void {
    this.breaker.succeed();
    this.isLate = true;
    for (const [id, waiting] of [...this.underWay, ...this.wanted]) if (this.known.has(id)) waiting.resolve();
  }

  /** Ends all waiting. The result of the running look-up is still used if it arrives. */
  private giveUp(): void {
    this.breaker.fail();
    for (const waiting of [...this.underWay.values(), ...this.wanted.values()]) waiting.resolve();
    this.wanted.clear();
  }

  private learn(ids: string[], found: StoredKey[]): void {
    const checkedAt = this.now();
    const byId = new Map(found.map((stored) => [stored.id, stored]));
    for (const id of ids) {
      const stored = byId.get(id);
      // Removed first, so that both maps stay in the order of the last look-up.
      this.known.delete(id);
      this.absent.delete(id);
      if (!stored) {
        keep(this.absent, id, checkedAt, ABSENT_LIMIT);
        continue;
      }
      const { role, keyHash, revokedAt } = stored;
      const remembered = {
        role,
        keyHash: Buffer.from(keyHash, "hex"),
        isRevoked: revokedAt !== null,
        checkedAt,
      };
      keep(this.known, id, remembered, KEY_LIMIT);
    }
  }
}

const judged = (keyId: string, { role, isRevoked }: Remembered): FoundKey =>
  isRevoked ? WRONG : { kind: "known", keyId, role };

function keep<Value>(map: Map<string, Value>, id: string, value: Value, limit: number): void {
  map.set(id, value);
  const [oldest] = map.size > limit ? map.keys() : [];
  if (oldest !== undefined) map.delete(oldest);
}
