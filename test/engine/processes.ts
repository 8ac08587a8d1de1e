import { metricsIn, type ScrapedMetrics } from "./scraped-metrics.ts";

const SCRAPE_TIMEOUT_MS = 2000;

/** The engine processes of a primary, by their numbers, as the host's process list has them. */
export async function processesOf({ pid }: { pid: number }): Promise<Map<number, number>> {
  const listing = await new Response(
    Bun.spawn(["ps", "-A", "-o", "pid=,ppid=,args="], { stdout: "pipe" }).stdout,
  ).text();
  const children = [...listing.matchAll(/^ *(\d+) +(\d+) .*src\/main\.ts process (\d+)$/gm)];
  return new Map(
    children
      .filter(([, , parent]) => Number(parent) === pid)
      .map(([, child, , number]) => [Number(number), Number(child)]),
  );
}

/** A scrape on a connection of its own, so that any of the processes may be the one that is asked. */
export async function scrape(url: string): Promise<ScrapedMetrics> {
  const answer = await fetch(`${url}/metrics`, {
    keepalive: false,
    signal: AbortSignal.timeout(SCRAPE_TIMEOUT_MS),
  });
  if (answer.status !== 200) throw new Error(`the scrape was answered ${answer.status}`);
  return metricsIn(await answer.text());
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
