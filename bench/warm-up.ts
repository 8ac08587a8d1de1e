import { untilWithin } from "../test/fixtures/until.ts";
import { runGenerator, runLoad } from "./load.ts";
import type { Sale, Server } from "./servers.ts";

const WARM_UP_SECONDS = 1;
const WARM_UP_CONNECTIONS = 50;
const SELL_LIMIT_SECONDS = 60;
const PUBLISH_DEADLINE_MS = 60_000;

/**
 * Sold at the warm-up; every measurement of refusals asks for these. More than there are connections, so that
 * a seat is hardly ever asked for twice at once: on 200 seats the baseline's locks refused most requests
 * before its database was asked.
 */
export const SOLD = { firstSeatId: 1, lastSeatId: 2_000 };
export const FIRST_FREE_SEAT_ID = 10_000;

const OF_A_CONSTANT = { firstSeatId: 1, lastSeatId: 1_000_000 };

/**
 * Lets the JIT, the pools and the caches settle, and sells the seats that are asked for again later.
 * @throws when a free seat is not answered 201, or a sold one not 409.
 */
export async function warmUp(server: Server): Promise<void> {
  const { sale, url, name } = server;
  const load = { connections: WARM_UP_CONNECTIONS, seconds: WARM_UP_SECONDS };
  if (!sale) {
    await runLoad(url, { ...load, plan: { kind: "reserve", ...OF_A_CONSTANT } });
    return;
  }
  const publishedBefore = (await sale.published?.()) ?? 0;
  const seats = { firstSeatId: sale.nextSeatId, lastSeatId: sale.database.seatCount };
  const { answers } = await runLoad(url, { ...load, plan: { kind: "reserve", ...seats } });
  sale.nextSeatId += answers + WARM_UP_CONNECTIONS + 1;

  const { firstSeatId, lastSeatId: seatCount } = SOLD;
  const everySeat = { kind: "sale", firstSeatId, seatCount, requestCount: seatCount } as const;
  const closed = { ...load, url, pace: { kind: "closed" }, idleConnections: 0 } as const;
  const sold = await runGenerator({ ...closed, seconds: SELL_LIMIT_SECONDS, plan: everySeat });
  expectOnly(name, sold.statuses, "201");
  const refused = await runGenerator({ ...closed, plan: { kind: "reserve", ...SOLD } });
  expectOnly(name, refused.statuses, "409");
  await allPublished(sale, publishedBefore);
}

function expectOnly(name: string, statuses: Record<string, number> | undefined, status: string): void {
  if (Object.keys(statuses ?? {}).join() === status) return;
  throw new Error(`${name} answers with other than ${status}: ${JSON.stringify(statuses)}`);
}

/** Waits for a server whose ledger was empty before. */
async function allPublished({ published, database }: Sale, publishedBefore: number): Promise<void> {
  if (!published) return;
  await untilWithin(
    PUBLISH_DEADLINE_MS,
    "everything sold at the warm-up is published",
    async () => (await published()) - publishedBefore === (await database.ledgerRows()),
  );
}
