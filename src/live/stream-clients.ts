import type { Caller } from "../access/guard.ts";
import type { ChangeStream } from "./change-stream.ts";

/** Every client may have this many: one stream, and the one that it replaces, which may not have ended yet. */
const LEAST_STREAMS = 2;

/** An API key, or all clients of a network without one; a share of the streams belongs to each. */
export interface StreamClient {
  /** Of the key or the network, as `Guard.identityOf` returns it. */
  name: string;
  /** The key's id; undefined without a key. */
  keyId: string | undefined;
}

export const streamClientOf = (identity: string, caller: Caller): StreamClient => ({
  name: identity,
  keyId: caller.kind === "key" ? caller.keyId : undefined,
});

/** Counts streams by client: none may have more than its share, and the streams of a key end with the key. */
export class StreamClients {
  private readonly limitOfEach: number;
  private readonly counts = new Map<string, number>();
  private readonly byKey = new Map<string, Set<ChangeStream>>();

  constructor(limitStreams: number, sharePercent: number) {
    this.limitOfEach = Math.max(LEAST_STREAMS, Math.floor((limitStreams * sharePercent) / 100));
  }

  /** Counts one more stream; false if the client already has its share. Call `leave` once for each true. */
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

  /** The ids of the keys with open streams. */
  keyIds(): string[] {
    return [...this.byKey.keys()];
  }

  endThoseOfKey(keyId: string): void {
    for (const stream of this.byKey.get(keyId) ?? []) stream.end("key-revoked");
  }
}
