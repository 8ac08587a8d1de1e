import { connect, type Socket } from "node:net";
import { reserve } from "../engine/buyers.ts";
import { metricsIn } from "../engine/scraped-metrics.ts";

/** Between two requests of the normal client: it is one of many, not a load of its own. */
const PAUSE_MS = 50;
const NORMAL_TIMEOUT_MS = 10_000;

/** Raw connections to an engine, which close with the stack. */
export class Attackers {
  private readonly sockets = new Set<Socket>();
  private readonly drips: Timer[] = [];
  private readonly port: number;
  opened = 0;
  closed = 0;

  constructor(stack: AsyncDisposableStack, url: string) {
    this.port = Number(new URL(url).port);
    stack.defer(() => this.end());
  }

  /** Opens connections that send this and nothing more; `connected` of them are through when it resolves. */
  async open(count: number, first = ""): Promise<Socket[]> {
    return Promise.all(Array.from({ length: count }, () => this.one(first)));
  }

  /** As `open`, and then a little of `drop` every so often, for ever. */
  async drip(count: number, first: string, drop: string, everyMs: number): Promise<void> {
    for (const socket of await this.open(count, first)) {
      this.drips.push(setInterval(() => socket.writable && socket.write(drop), everyMs));
    }
  }

  /** As `open`, and takes nothing of the answer. */
  async deaf(count: number, request: string): Promise<void> {
    for (const socket of await this.open(count)) {
      socket.pause();
      socket.write(request);
    }
  }

  end(): void {
    for (const drip of this.drips) clearInterval(drip);
    for (const socket of this.sockets) socket.destroy();
  }

  private one(first: string): Promise<Socket> {
    return new Promise((resolve) => {
      const socket = connect({ port: this.port, host: "127.0.0.1" });
      this.sockets.add(socket);
      socket.once("connect", () => {
        this.opened++;
        if (first) socket.write(first);
        resolve(socket);
      });
      socket.on("error", () => resolve(socket));
      socket.on("data", () => undefined);
      socket.once("close", () => {
        this.closed++;
        this.sockets.delete(socket);
      });
    });
  }
}

export interface Served {
  /** How often each status was answered; 0 is no answer. */
  statuses: Record<number, number>;
  worstMs: number;
}

/**
 * A normal client, which connects again for each request, looks at the event and buys a seat of its own in turn,
 * while `attack` goes on.
 */
export async function servedDuring(url: string, attack: () => Promise<void>): Promise<Served> {
  const served: Served = { statuses: {}, worstMs: 0 };
  let isOver = false;
  const shopping = (async () => {
    for (let seatId = 1; !isOver; seatId++) {
      await timed(served, () =>
        fetch(`${url}/api/v1/events/1`, {
          keepalive: false,
          signal: AbortSignal.timeout(NORMAL_TIMEOUT_MS),
        }).then(async (answer) => {
          await answer.text();
          return answer.status;
        }),
      );
      await timed(served, async () => (await reserve(url, seatId, { keepalive: false })).status);
      await Bun.sleep(PAUSE_MS);
    }
  })();
  try {
    await attack();
  } finally {
    isOver = true;
    await shopping;
  }
  return served;
}

async function timed(served: Served, ask: () => Promise<number>): Promise<void> {
  const startedAt = performance.now();
  const status = await ask().catch(() => 0);
  served.worstMs = Math.max(served.worstMs, performance.now() - startedAt);
  served.statuses[status] = (served.statuses[status] ?? 0) + 1;
}

/** A scrape on a connection of its own, which is closed again. */
export async function metricsOf(url: string) {
  return metricsIn(await (await fetch(`${url}/metrics`, { keepalive: false })).text());
}

export const post = (path: string, ...headers: string[]) =>
  `${[`POST ${path} HTTP/1.1`, "host: engine", "content-type: application/json", ...headers].join("\r\n")}\r\n\r\n`;

export const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: engine\r\n\r\n`;
