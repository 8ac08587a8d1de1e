import { join } from "node:path";
import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { Relay } from "../../src/ledger/relay.ts";
import { openFileSink } from "../../src/ledger/sinks/file-sink.ts";
import { openSession } from "../../src/postgres/connect.ts";
import { createEvent } from "../../src/postgres/event-writes.ts";
import { giveBack, settle } from "../../src/postgres/settle.ts";
import type { Anchor } from "../../src/proof/verify/chain-proof.ts";
import { openEventsFile } from "../../src/proof/verify/events-file.ts";
import { type Verification, verify } from "../../src/proof/verify/proof.ts";
import { createLog } from "../../src/telemetry/log.ts";
import { tempDir } from "../fixtures/temp-dir.ts";
import { addEvent, addSeatsOf, age, change, taken } from "../postgres/reservations.ts";
import { openSale, reserveOne, type Sale } from "../postgres/sale.ts";

/** Small, so that a few dozen rows make several checkpoints. */
const WINDOW_ROWS = 7;

/** A sale in which every transition has happened, by the engine's own statements, published to a file and sealed. */
export interface SealedSale {
  sale: Sale;
  eventsFile: string;
  /** Reservations whose seats were all taken over by others. */
  undetermined: string[];
  /** Publishes and seals what is new. */
  publish(): Promise<void>;
  verify(options?: VerifyOptions): Promise<Verification>;
  /** Verifies the database as damaged by these statements, and undoes them. */
  verifyDamaged(damage: Damage, options?: VerifyOptions): Promise<Verification>;
  close(): Promise<void>;
}

export type Damage = string[] | ((session: pg.PoolClient) => Promise<unknown>);

interface VerifyOptions {
  anchors?: Anchor[];
  eventsFile?: string;
}

export async function openSealedSale(): Promise<SealedSale> {
  const sale = await openSale();
  const dir = await tempDir("verify");
  const eventsFile = join(dir.path, "events.jsonl");
  const publish = async () => {
    const session = {
      databaseUrl: sale.url,
      name: "relay",
      statementTimeoutMs: 5000,
      connectTimeoutMs: 5000,
    };
    const relay = new Relay({
      openSession: (onError) => openSession(session, onError),
      openSink: () => openFileSink(eventsFile),
      batchLimitRows: WINDOW_ROWS,
      log: createLog("silent", "relay"),
    });
    while ((await relay.round()).more);
    await relay.close();
  };
  const verifyIn = async (session: NodePgDatabase, options: VerifyOptions = {}) =>
    verify({
      session,
      otherSession: session,
      anchors: options.anchors ?? [],
      store: await openEventsFile(options.eventsFile ?? eventsFile),
    });
  const undetermined = await sell(sale);
  await publish();
  return {
    ...{ sale, eventsFile, undetermined, publish },
    verify: (options) => verifyIn(drizzle(sale.pool), options),
    verifyDamaged: async (damage, options) => {
      const session = await sale.pool.connect();
      try {
        await session.query("begin");
        if (typeof damage === "function") await damage(session);
        else for (const statement of damage) await session.query(statement);
        return await verifyIn(drizzle(session), options);
      } finally {
        await session.query("rollback");
        session.release();
      }
    },
    close: async () => {
      await sale.close();
      await dir.remove();
    },
  };
}

/** @returns the reservations that the ledger does not determine. */
async function sell(sale: Sale): Promise<string[]> {
  const eventId = await addEvent(sale);
  const seats = (count: number) => addSeatsOf(sale, eventId, count);
  const session = await sale.session();
  const did = async (reservationId: string, ...actions: Parameters<typeof change>[2][]) => {
    for (const action of actions) {
      const { verdict } = await change(session, reservationId, action);
      if (verdict !== "done") throw new Error(`${action}: ${verdict}`);
    }
    return reservationId;
  };

  // The sale has given its own events their ids.
  await sale.rows("select setval('events_id_seq', 100)");
  await createEvent(drizzle(sale.pool), DRAFT);
  for (const seatId of await sale.addSeats(10)) await reserveOne(session, seatId, 0);
  await did(await taken(sale, await seats(3)), "extend", "confirm", "cancel");
  await did(await taken(sale, await seats(2)), "release");
  const swept = await taken(sale, await seats(2));
  await age(sale, swept);
  await did(swept, "expire", "confirm");

  const [one = 0, other = 0, third = 0] = await seats(3);
  const overtaken = await taken(sale, [one, other]);
  await age(sale, overtaken);
  const second = await taken(sale, [one]);
  await did(overtaken, "expire");
  await did(second, "confirm");
  const allGone = await taken(sale, [other, third]);
  await age(sale, allGone);
  await taken(sale, [other, third], { isHold: false });
  await did(allGone, "expire");
  const unswept = await taken(sale, await seats(1));
  await age(sale, unswept);
  await taken(sale, await seats(2));
  const late = await taken(sale, await seats(1));
  await age(sale, late);
  await did(late, "confirm");

  const [doubtful = 0] = await sale.addSeats(1, "cancellable");
  const { reservationId } = await reserveOne(session, doubtful, 0);
  const doubt = [reservationId, Bun.randomUUIDv7()].map((id) => ({
    ...{ reservationId: id, seatIds: [doubtful] },
  }));
  await giveBack(drizzle(sale.pool), doubt, await settle(drizzle(sale.pool), doubt));
  await reserveOne(session, doubtful, 2);
  await sale.endSessions();
  return [allGone];
}

const DRAFT = {
  ...{ name: "with sections", currency: "EUR", cancellable: true, status: "open" as const },
  ...{ onSaleAtMs: null, offSaleAtMs: null, holdTtlSeconds: 600, holdLimitSeconds: 1800 },
  ...{ reservationLimitSeats: 20, buyerLimitSeats: null, focalX: null, focalY: null },
  priceTiers: [{ name: "Standard", amountMinor: 8900 }],
  sections: [{ name: "Lawn", layout: { kind: "general" as const, capacity: 5, priceTier: 0 } }],
};
