import type { AnyElysia } from "elysia";
import type { Config } from "../config/config.ts";
import { dropNewConnections } from "./new-connections.ts";
import type { PeerAddresses } from "./peer-addresses.ts";
import { type Address, portFault, urlOf } from "./port.ts";
import { problem } from "./problem.ts";

/**
 * How long active requests may take when the server stops; the slowest statement takes less
 * (STATEMENT_TIMEOUT_MS).
 */
const STOP_TIMEOUT_MS = 2000;
/** Time for the last new connections to be accepted and to send their request; otherwise Bun resets them. */
const LAST_CONNECTIONS_MS = 100;
/** How long responses may take to leave when the server closes. */
const LAST_ANSWERS_TIMEOUT_MS = 1000;
const LAST_ANSWERS_POLL_MS = 10;

export interface HttpServer {
  url: string;
  port: number;
  /** Accepts no new connections; resolves when the active requests are answered, or after STOP_TIMEOUT_MS. */
  stop(): Promise<void>;
  /** Accepts no new connections, lets pending responses leave, then closes what is still open. */
  close(): Promise<void>;
}

/**
 * Starts a server. A whole request must arrive within IDLE_TIMEOUT_SECONDS, and the first one of a connection
 * within Bun's own 10 s: trickling bytes gain no time (tried with 1.4.5).
 * @throws {ConfigError} if the port is taken or the address is not this machine's
 */
export function listen(
  app: AnyElysia,
  address: Address,
  { idleTimeoutSeconds, webConcurrency }: Config,
  peers: PeerAddresses,
): HttpServer {
  const { host, port } = address;
  try {
    app.listen({
      port,
      hostname: host,
      // Bun's own refusal has no body and resets the connection, which a proxy turns into 502. Instead, the rules for
      // requests refuse a body over BODY_LIMIT_BYTES, and Bun discards the rest of it as it arrives.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      idleTimeout: idleTimeoutSeconds,
      // Elysia's default is true: a second engine would silently take half of the connections. Several
      // processes of one engine want just that, and their primary has seen to it that no other does.
      reusePort: webConcurrency > 1,
      // What neither a route nor the app's own handler has caught would be a page with our source code in it.
      development: false,
      error: () => problem("internal-error", "The fault lies here; to ask again may help."),
    });
  } catch (error) {
    throw portFault(error, address);
  }
  const { server } = app;
  if (!server) throw new Error("the HTTP server did not start");
  peers.join(server);
  return {
    url: urlOf(host, server.port ?? port),
    port: server.port ?? port,
    stop: async () => {
      dropNewConnections(server.port ?? port);
      await Bun.sleep(LAST_CONNECTIONS_MS);
      await Promise.race([server.stop(), Bun.sleep(STOP_TIMEOUT_MS)]);
    },
    close: async () => {
      void server.stop();
      const deadline = performance.now() + LAST_ANSWERS_TIMEOUT_MS;
      while (server.pendingRequests > 0 && performance.now() < deadline)
        await Bun.sleep(LAST_ANSWERS_POLL_MS);
      await server.stop(true);
    },
  };
}
