import type { Caller } from "../http/caller.ts";

import type { ChangeStream } from "./change-stream.ts";

/** Every client may have this many: one stream, and the one it replaces, which may not have ended yet. */
const LEAST_STREAMS = 2;

/** An API key, or all clients of a network without a key. Each may have a share of the streams. */
export interface StreamClient {
  /** The client's key or network, as named by `Guard.identityOf`. */
  name: string;
  /** The key's id; undefined without a key. */
  keyId: string | undefined;
  /** Returns whether an administrator has denied the client by now. */
  isDenied(): boolean;
}

export const streamClientOf = (identity: string, caller: Caller, isDenied: () => boolean): StreamClient => ({
  name: identity,
  keyId: caller.kind === "key" ? caller.keyId : undefined,
  isDenied,
});

/** Streams checked for a denial at a time; requests are answered in between. */
const CHECK_LIMIT_STREAMS = 500;

/**
 * Limits the streams of each client to its share. Ends the streams of a key that is revoked, and those of a
 * client that is denied.
 */
export class StreamClients {
  private readonly limitOfEach: number;
  private readonly counts = new Map<string, number>();
  private readonly byKey = new Map<string, Set<ChangeStream>>();
  private readonly open = new Map<ChangeStream, StreamClient>();

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

  opened(client: StreamClient, stream: ChangeStream): void {
    const { keyId } = client;
    this.open.set(stream, client);
    if (keyId !== undefined) this.byKey.set(keyId, (this.byKey.get(keyId) ?? new Set()).add(stream));
    // The client may have been denied while the stream was being opened.
    if (client.isDenied()) stream.end("caller-denied");
  }

  over({ keyId }: StreamClient, stream: ChangeStream): void {
    this.open.delete(stream);
    const streams = keyId === undefined ? undefined : this.byKey.get(keyId);
    streams?.delete(stream);
    if (keyId !== undefined && streams?.size === 0) this.byKey.delete(keyId);
  }

  /** Returns the ids of the keys with open streams. */
  keyIds(): string[] {
    return [...this.byKey.keys()];
  }

  endThoseOfKey(keyId: string): void {
    for (const stream of this.byKey.get(keyId) ?? []) stream.end("key-revoked");
  }

  /** Ends the streams of the clients that are denied by now. */
  async endThoseDenied(): Promise<void> {
    let checks = 0;
    for (const [stream, client] of this.open) {
      if (client.isDenied()) stream.end("caller-denied");
      if (++checks % CHECK_LIMIT_STREAMS === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
