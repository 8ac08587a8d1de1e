import type { Caller } from "../access/guard.ts";
import type { ChangeStream } from "./change-stream.ts";

/** What a client may have whatever its share: one stream, and the one that it replaces, which may not be over yet. */
const LEAST_STREAMS = 2;

/** Who listens: an API key, or all without one from a network. */
export interface StreamClient {
  /** Of the key, or of the network. */
  name: string;
  /** The key's id; undefined for who came without one. */
  keyId: string | undefined;
}

/** @param identity as `Guard.identityOf` gives it */
export const streamClientOf = (identity: string, caller: Caller): StreamClient => ({
  name: identity,
  keyId: caller.kind === "key" ? caller.keyId : undefined,
});

/** Streams by who listens: none may have more than its share, and those of a key end with the key. */
export class StreamClients {
  private readonly limitOfEach: number;
  private readonly counts = new Map<string, number>();
  private readonly byKey = new Map<string, Set<ChangeStream>>();

  constructor(limitStreams: number, sharePercent: number) {
    this.limitOfEach = Math.max(LEAST_STREAMS, Math.floor((limitStreams * sharePercent) / 100));
  }

  /** Counts one stream more; false where the client has its share already. Each true has its `leave`. */
  enter({ name }: StreamClient): boolean {
    const count = this.counts.get(name) ?? 0;
    if (count >= this.limitOfEach) return false;
    this.counts.set(name, count + 1);
    return true;
  }

  leave({ name }: StreamClient): void {
    const left = (this.counts.get(name) ?? 0) - 1;
    if (left > 0) this.counts.set(name, left);
    else this.counts.delete(name);
  }

  opened({ keyId }: StreamClient, stream: ChangeStream): void {
    if (keyId === undefined) return;
    const streams = this.byKey.get(keyId) ?? new Set();
    this.byKey.set(keyId, streams.add(stream));
  }

  over({ keyId }: StreamClient, stream: ChangeStream): void {
    const streams = keyId === undefined ? undefined : this.byKey.get(keyId);
    streams?.delete(stream);
    if (keyId !== undefined && streams?.size === 0) this.byKey.delete(keyId);
  }

  /** Of the keys that somebody listens with. */
  keyIds(): string[] {
    return [...this.byKey.keys()];
  }

  endThoseOfKey(keyId: string): void {
    for (const stream of this.byKey.get(keyId) ?? []) stream.end("key-revoked");
  }
}
