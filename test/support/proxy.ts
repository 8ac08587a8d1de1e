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
  stop(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1 and passes every byte on to `serverUrl` and back. */
export async function startProxy(serverUrl: string): Promise<Proxy> {
  const target = new URL(serverUrl);
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
    const end = () => {
      pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of pair) socket.setNoDelay(true).on("error", end).on("close", end);
    pass(near, far);
    pass(far, near);
  });
  const pass = (from: Socket, to: Socket) => {
    from.on("data", (bytes) => to.write(bytes));
    if (state === "hangs") from.pause();
  };
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");

  const cut = () => {
    state = "cut";
    for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
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
    heal: () => {
      state = "passes";
      for (const pair of pairs) for (const socket of pair) socket.resume();
    },
    stop: () => {
      cut();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
