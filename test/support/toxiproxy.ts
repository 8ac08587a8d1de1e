import { existsSync } from "node:fs";
import {
  type Bandwidth,
  type Latency,
  type Slicer,
  type Slowclose,
  type Timeout,
  type ToxicDirection,
  Toxiproxy,
} from "toxiproxy-node-client";
import { startChild } from "./child.ts";
import { freePort } from "./free-port.ts";
import { findProgram, type Missing, present } from "./parts.ts";
import { until } from "./until.ts";

const START_DEADLINE_MS = 10_000;
const STOP_TIMEOUT_MS = 5_000;

/** What a link can have, by Toxiproxy's names and attributes: all in ms, but for the ones that say otherwise. */
interface ToxicKinds {
  latency: Latency;
  /** In KB/s. */
  bandwidth: Bandwidth;
  slow_close: Slowclose;
  /** Nothing passes; closed after so long, never with 0. */
  timeout: Timeout;
  /** Reset after so long. */
  reset_peer: Timeout;
  /** In bytes and microseconds. */
  slicer: Slicer;
  /** Closed after so many bytes. */
  limit_data: { bytes: number };
}

/** The way to one server through Toxiproxy. */
export interface ToxicLink {
  port: number;
  /** The server's URL by way of this link. */
  url: string;
  /** `downstream`: what the server sends; `upstream`: what it is sent. One of a kind and direction at a time. */
  add<Kind extends keyof ToxicKinds>(
    kind: Kind,
    attributes: ToxicKinds[Kind],
    more?: { stream?: ToxicDirection; toxicity?: number },
  ): Promise<void>;
  /** Every connection is closed and new ones are refused, until `heal`. */
  down(): Promise<void>;
  /** Takes away whatever it has. */
  heal(): Promise<void>;
}

export interface ToxiproxyServer {
  /** A link to `serverUrl`, on a free port of 127.0.0.1. */
  link(serverUrl: string): Promise<ToxicLink>;
  stop(): Promise<void>;
}

/** The program that TOXIPROXY names, or Shopify's toxiproxy-server on PATH. */
export function findToxiproxy(): string | Missing {
  const { TOXIPROXY } = process.env;
  if (TOXIPROXY)
    return existsSync(TOXIPROXY) ? TOXIPROXY : { missing: `TOXIPROXY=${TOXIPROXY} is not there` };
  const found = findProgram("toxiproxy-server");
  if (typeof found === "string") return found;
  return {
    missing: `TOXIPROXY names none and ${found.missing} (go install github.com/Shopify/toxiproxy/v2/cmd/server)`,
  };
}

/** Toxiproxy itself answers 503 when something takes it longer than 30 s, as on a busy machine: then try again. */
const HEAL_ATTEMPTS = 3;

/** A Toxiproxy of its own, without links. `seed` decides which connections a toxicity below 1 meets. */
export async function startToxiproxy(seed = 1): Promise<ToxiproxyServer> {
  const program = present(findToxiproxy());
  const port = await freePort();
  const child = startChild("toxiproxy", [
    ...[program, "-host", "127.0.0.1", "-port", String(port), "-seed", String(seed)],
  ]);
  const stop = async () => void (await child.end("SIGTERM", STOP_TIMEOUT_MS));
  const server = new Toxiproxy(`http://127.0.0.1:${port}`);
  try {
    await until(async () => child.exitCode() !== undefined || (await server.getVersion()).length > 0, {
      deadlineMs: START_DEADLINE_MS,
      what: `Toxiproxy answers on port ${port}`,
    });
    if (child.exitCode() !== undefined) throw new Error("Toxiproxy ended at its start");
  } catch (error) {
    await stop();
    throw new Error(`Toxiproxy did not start:\n${child.output()}`, { cause: error });
  }
  let made = 0;
  return { link: (serverUrl) => openLink(server, `link ${++made}`, serverUrl), stop };
}

async function openLink(server: Toxiproxy, name: string, serverUrl: string): Promise<ToxicLink> {
  const url = new URL(serverUrl);
  const proxy = await server.createProxy({
    ...{ name, listen: "127.0.0.1:0", upstream: url.host, enabled: true },
  });
  url.host = proxy.listen;
  // As it was given by the first listening: a disabled one must come back at the same.
  const { listen } = proxy;
  const added = new Set<string>();
  const able = async (enabled: boolean) =>
    void (await proxy.update({ enabled, listen, upstream: proxy.upstream }));
  const takeAway = async () => {
    for (const toxic of added) {
      await proxy.getToxic(toxic).then(
        (found) => found.remove(),
        (error: unknown) => {
          if (!isGone(error)) throw error;
        },
      );
      added.delete(toxic);
    }
  };
  return {
    port: Number(url.port),
    url: url.href,
    add: async (type, attributes, { stream = "downstream", toxicity = 1 } = {}) => {
      const toxic = `${type} ${stream}`;
      await proxy.addToxic({ type, name: toxic, stream, toxicity, attributes });
      added.add(toxic);
    },
    down: () => able(false),
    heal: async () => {
      // Toxiproxy cannot take one away from a connection whose reader stands still; it can end that connection.
      for (let attempt = 1; ; attempt++) {
        try {
          await takeAway();
          break;
        } catch (error) {
          if (attempt === HEAL_ATTEMPTS) throw error;
          await able(false).catch(() => undefined);
        }
      }
      await able(true);
    },
  };
}

/** What it was asked for is not there: an earlier removal came through after all. */
const isGone = (error: unknown): boolean =>
  error instanceof Error &&
  "response" in error &&
  (error.response as { status?: number } | undefined)?.status === 404;
