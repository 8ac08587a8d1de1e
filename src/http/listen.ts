import type { AnyElysia } from "elysia";
import { type Config, ConfigError } from "../config.ts";

/** Answers that are on their way when the server closes get this long to leave. */
const LAST_ANSWERS_TIMEOUT_MS = 1000;
const LAST_ANSWERS_POLL_MS = 10;

export interface HttpServer {
  url: string;
  /** Takes no new connections, lets the answers under way leave, then closes what is still open. */
  close(): Promise<void>;
}

/** @throws {ConfigError} when the port is taken or the address is not this machine's. */
export function listen(
  app: AnyElysia,
  { port, host, bodyLimitBytes, idleTimeoutSeconds }: Config,
): HttpServer {
  try {
    app.listen({
      port,
      hostname: host,
      maxRequestBodySize: bodyLimitBytes,
      idleTimeout: idleTimeoutSeconds,
      // Elysia's default is true: a second engine would silently take half of the connections.
      reusePort: false,
    });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "EADDRINUSE") {
      throw new ConfigError(
        `PORT: ${port} is taken by another process: stop that one or choose another port`,
      );
    }
    throw new ConfigError(
      `HOST: ${host}:${port} cannot be listened on (${code ?? String(error)}): choose an address of this machine and a port you may use`,
    );
  }
  const { server } = app;
  if (!server) throw new Error("the HTTP server did not start");
  const shownHost = host === "0.0.0.0" || host === "::" ? "localhost" : host;
  return {
    url: `http://${shownHost}:${server.port}`,
    close: async () => {
      void server.stop();
      const deadline = performance.now() + LAST_ANSWERS_TIMEOUT_MS;
      while (server.pendingRequests > 0 && performance.now() < deadline)
        await Bun.sleep(LAST_ANSWERS_POLL_MS);
      await server.stop(true);
    },
  };
}
