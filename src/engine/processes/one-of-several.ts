import { never } from "../../runtime/assert.ts";
import type { AllMetrics } from "../metrics-routes.ts";
import type { Start, ToPrimary, ToProcess } from "./messages.ts";

/**
 * How long a scrape waits for the primary. The primary may be delayed, and itself waits half a second for each process.
 */
const METRICS_TIMEOUT_MS = 3000;

/** The connection of an engine process to its primary. */
export interface Membership extends Start {
  allMetrics: AllMetrics;
  send(message: ToPrimary): void;
  /** The primary calls this once. A process that is told to end before it has registered ends at once. */
  onEnd(end: (delayMs: number) => void): void;
}

/**
 * Waits for the primary's start message. After this, the process exits when the primary dies, dropping its
 * requests.
 * @throws {Error} if this process was not started by a primary
 */
export async function joinPrimary(): Promise<Membership> {
  if (!process.send) throw new Error("process: only the engine itself starts this, see WEB_CONCURRENCY");
  process.on("disconnect", () => process.exit(1));
  const send = (message: ToPrimary) => void process.send?.(message);
  const scrapes = new Map<number, (text: string) => void>();
  let scrapeCount = 0;
  let end: (delayMs: number) => void = () => process.exit(0);
  let readOwn: Parameters<AllMetrics["onWanted"]>[0] | undefined;

  const start = await new Promise<Start>((resolve) => {
    process.on("message", (message: ToProcess) => {
      switch (message.kind) {
        case "start":
          return resolve(message);
        case "end":
          return end(message.delayMs);
        case "metrics-wanted":
          readOwn?.().then(
            (metrics) => send({ kind: "metrics", metrics }),
            () => send({ kind: "metrics", metrics: null }),
          );
          return;
        case "metrics-of-all":
          return scrapes.get(message.scrape)?.(message.text);
        default:
          never(message, "message of the primary process");
      }
    });
  });
  const read = () =>
    new Promise<string | undefined>((resolve) => {
      const scrape = ++scrapeCount;
      const answer = (text?: string) => {
        clearTimeout(timer);
        scrapes.delete(scrape);
        resolve(text);
      };
      const timer = setTimeout(answer, METRICS_TIMEOUT_MS);
      scrapes.set(scrape, answer);
      send({ kind: "scraped", scrape });
    });
  const onWanted: AllMetrics["onWanted"] = (given) => {
    readOwn = given;
  };
  const onEnd: Membership["onEnd"] = (given) => {
    end = given;
  };
  return { ...start, send, onEnd, allMetrics: { read, onWanted } };
}
