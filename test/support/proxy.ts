import { connect, createServer, type Socket } from "node:net";

/** A network to a server that can be made bad, and good again, without touching the server. */
export interface Proxy {
  port: number;
  /** The server's URL by way of this proxy. */
  url: string;
  /** How many connections go through it now. */
  connections(): number;
  /** Ends every connection at once (reset) and refuses new ones until `heal`: the server looks dead. */
  cut(): void;
  /** Lets connections stand and open, and passes nothing on, either way, until `heal`: the server looks hung. */
  hang(): void;
  heal(): void;
  /** From now on new connections go to another server, as when an address moves; every connection there is ends. */
  moveTo(serverUrl: string): void;
  /** The same for new connections only; open ones stay with the former server. */
  moveNewConnectionsTo(serverUrl: string): void;
  stop(): Promise<void>;
}

export type Direction = "toServer" | "toClient";

/** One connection through the proxy, for whoever watches it. */
export interface Connection {
  /** Passes these bytes on, in the order of the calls. Nothing where that end is gone. */
  write(bytes: Buffer, direction: Direction): void;
  /** Whether an end has closed while `Watcher.keeps` was true: then the other one is waited for. */
  halfGone(): boolean;
  /** Ends both ends in order. */
  close(): void;
  /** Breaks the client's end, or both, as a broken link does. */
  reset(end: "near" | "both"): void;
}

/** Sees every byte of a connection before it is passed on. */
export interface Watcher {
  /** @returns false where the bytes are not to be passed on: the watcher has kept them. */
  sees(bytes: Buffer, direction: Direction): boolean;
  /** Whether the connection is to stand although one of its ends has closed. */
  keeps(): boolean;
}

/**
 * Listens on a free port of 127.0.0.1 and passes every byte on to `serverUrl` and back.
 * @param watch gives each new connection its watcher (`wire.ts`).
 */
export async function startProxy(
  serverUrl: string,
  watch?: (connection: Connection) => Watcher,
): Promise<Proxy> {
  let target = new URL(serverUrl);
  const pairs = new Set<[Socket, Socket]>();
  let state: "passes" | "cut" | "hangs" = "passes";

  const server = createServer((near) => {
    if (state === "cut") {
      near.resetAndDestroy();
      return;
    }
    const far = connect(Number(target.port), target.hostname);
    const pair: [Socket, Socket] = [near, far];
    pairs.add(pair);
    let halfGone = false;
    const watcher = watch?.({
      write: (bytes, direction) => write(direction === "toServer" ? far : near, bytes),
      halfGone: () => halfGone,
      close: () => {
        pairs.delete(pair);
        for (const socket of pair) socket.end();
      },
      reset: (broken) => {
        near.resetAndDestroy();
        if (broken === "both") far.resetAndDestroy();
      },
    });
    const end = () => {
      if (watcher?.keeps()) {
        halfGone = true;
        return;
      }
      pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of pair) socket.setNoDelay(true).on("error", end).on("close", end);
    near.on("data", (bytes: Buffer) => {
      if (watcher?.sees(bytes, "toServer") ?? true) write(far, bytes);
    });
    far.on("data", (bytes: Buffer) => {
      if (watcher?.sees(bytes, "toClient") ?? true) write(near, bytes);
    });
    if (state === "hangs") for (const socket of pair) socket.pause();
  });
  const write = (to: Socket, bytes: Buffer) => {
    if (!to.destroyed && !to.writableEnded) to.write(bytes);
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");

  const cut = () => {
    state = "cut";
    for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
    pairs.clear();
  };
  const heal = () => {
    state = "passes";
    for (const pair of pairs) for (const socket of pair) socket.resume();
  };
  const url = new URL(serverUrl);
  url.host = `127.0.0.1:${address.port}`;
  return {
    port: address.port,
    url: url.href,
    connections: () => pairs.size,
    cut,
    hang: () => {
      state = "hangs";
      for (const pair of pairs) for (const socket of pair) socket.pause();
    },
    heal,
    moveTo: (other) => {
      target = new URL(other);
      cut();
      heal();
    },
    moveNewConnectionsTo: (other) => {
      target = new URL(other);
    },
    stop: () => {
      cut();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
