import { LastResponses } from "../http/last-responses.ts";
import { ConnectionLimit, connectionLimitOf } from "../http/limits/connection-limit.ts";
import { openServerSockets } from "../http/limits/server-sockets.ts";
import { type HttpServer, listen } from "../http/listen.ts";
import type { PeerAddresses } from "../http/peer-addresses.ts";
import { managementAddress } from "../http/port.ts";
import type { Route, Serve } from "../http/route.ts";
import type { Context } from "../parts/context.ts";
import { FaultLog, messageOf } from "../telemetry/log.ts";
import { createApp, type DirectRoute } from "./app.ts";

export interface Routes {
  serve: Serve;
  /** The routes for everybody. */
  selling: readonly Route[];
  /** The routes among them whose handlers get the request without Elysia's context. */
  direct: readonly DirectRoute[];
  /** The routes for operators. If MANAGEMENT_PORT is set, only that port serves them. */
  managing: readonly Route[];
  /** The routes that every port serves. */
  probes: readonly Route[];
}

export interface Serving {
  url: string;
  managementUrl: string;
  /** Sends `Connection: close` with every later response, on every port. */
  announceEnd(): void;
  /**
   * Closes the port of the sale to new connections. Resolves when every running request is answered, or after
   * STOP_TIMEOUT_MS.
   */
  stopSelling(): Promise<void>;
}

/** Creates the apps of the ports before they listen, because routes ask them where a request comes from. */
export function createApps({ config, log, metrics }: Context, version: string, routes: Routes) {
  const { serve, selling, managing, probes, direct } = routes;
  const lastResponses = new LastResponses();
  const appOf = (list: Route[]) =>
    createApp({
      ...{ version, config, log, metrics, lastResponses },
      ...{ serve, routes: list, direct },
    });
  const hasPort = config.managementPort !== undefined;
  const app = appOf([...selling, ...probes, ...(hasPort ? [] : managing)]);
  return { app, management: hasPort ? appOf([...probes, ...managing]) : undefined, lastResponses };
}

/**
 * Listens on the ports, with one limit of connections for all of them.
 * @throws {ConfigError} naming the variable to correct.
 */
export function serve(
  { config, lifecycle, ...context }: Context,
  { app, management, lastResponses }: ReturnType<typeof createApps>,
  peers: PeerAddresses,
): Serving {
  const limit = connectionLimitOf(config);
  const address = managementAddress(config);
  let managing: HttpServer | undefined;
  if (management && address) {
    // This port opens first and closes last, so that operators can watch the engine end.
    const opened = listen(management, address, config, peers);
    lifecycle.onClose("management port", () => opened.close());
    managing = opened;
  }
  const selling = listen(app, config, config, peers);
  lifecycle.onClose("HTTP server", () => selling.close());
  const ports = managing ? [selling.port, managing.port] : [selling.port];
  lifecycle.onClose("connection limit", limitConnections(context, ports, limit));
  return {
    url: selling.url,
    managementUrl: managing?.url ?? selling.url,
    announceEnd: () => lastResponses.begin(),
    stopSelling: () => selling.stop(),
  };
}

function limitConnections(
  { metrics, log }: Pick<Context, "metrics" | "log">,
  ports: number[],
  limit: number,
): () => void {
  // A counter that does not exist before its first event hides that event from rate().
  for (const reason of ["silent", "idle", "asking"]) metrics.httpConnectionsClosed.inc({ reason }, 0);
  let connectionLimit: ConnectionLimit;
  try {
    const crowds = new FaultLog(log, "connections are closed because there are too many");
    connectionLimit = new ConnectionLimit({
      ...{ sockets: openServerSockets(ports), limit },
      onCount: (connections) => {
        metrics.httpConnections.set(connections);
        if (connections < limit / 2) crowds.over();
      },
      onClosed: (doing, connections) => {
        metrics.httpConnectionsClosed.inc({ reason: doing }, connections);
        crowds.met(new Error(`CONNECTION_LIMIT, ${limit} here, was passed`));
      },
    });
  } catch (error) {
    log.info({ reason: messageOf(error) }, "connections are not limited here");
    return () => undefined;
  }
  metrics.httpConnectionLimit.set(limit);
  return () => connectionLimit.stop();
}
