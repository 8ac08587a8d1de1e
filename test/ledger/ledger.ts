import { drizzle } from "drizzle-orm/node-postgres";
import type pg from "pg";
import { Relay } from "../../src/ledger/relay.ts";
import { openSession } from "../../src/postgres/connect.ts";
import { giveBack } from "../../src/postgres/settle.ts";
import { createLog } from "../../src/telemetry/log.ts";
import { only, openSale, reserveOne, type Sale } from "../postgres/sale.ts";
import { RecordingSink } from "./recording-sink.ts";

/** A sale with a sink for its events, and relays between them. */
export interface Ledger {
  sale: Sale;
  sink: RecordingSink;
  /** The relay of a process of its own, whose sessions carry its name. */
  openRelay(name?: string, options?: { to?: RecordingSink; batchLimitRows?: number }): Relay;
  /** One round of a relay that is closed then. */
  publish(...relay: Parameters<Ledger["openRelay"]>): Promise<void>;
  /** Sells that many new seats, one after the other. */
  sell(count: number): Promise<number[]>;
  sellOne(seatId: number, version: number, session?: pg.PoolClient): Promise<string>;
  /** Gives back a seat that is sold at that version. */
  cancelOne(seatId: number, version: number): Promise<void>;
  cursor(): Promise<{ epoch: number; id: number }>;
  /** The sessions that have the right to publish. */
  leaders(): Promise<{ name: string; pid: number }[]>;
  terminateLeader(): Promise<void>;
  close(): Promise<void>;
}

export async function openLedger(): Promise<Ledger> {
  const sale = await openSale();
  const sink = new RecordingSink();
  const relays: Relay[] = [];

  const openRelay: Ledger["openRelay"] = (name = "relay", { to = sink, batchLimitRows = 100 } = {}) => {
    const session = { databaseUrl: sale.url, name, statementTimeoutMs: 1500, connectTimeoutMs: 5000 };
    const relay = new Relay({
      openSession: (onError) => openSession(session, onError),
      openSink: to.open,
      batchLimitRows,
      log: createLog("silent", name),
    });
    relays.push(relay);
    return relay;
  };
  const sellOne: Ledger["sellOne"] = async (seatId, version, session) => {
    const seller = session ?? (await sale.pool.connect());
    const { verdict, reservationId } = await reserveOne(seller, seatId, version);
    if (!session) seller.release();
    if (verdict !== "won") throw new Error(`seat ${seatId} could not be sold: ${verdict}`);
    return reservationId;
  };
  const leaders: Ledger["leaders"] = () =>
    sale.rows(
      `select application_name as name, pid from pg_stat_activity join pg_locks using (pid)
       where locktype = 'advisory' and datname = current_database()`,
    );
  return {
    sale,
    sink,
    openRelay,
    publish: async (...options) => {
      const relay = openRelay(...options);
      await relay.round();
      await relay.close();
    },
    sell: async (count) => {
      const seatIds = await sale.addSeats(count, "cancellable");
      for (const seatId of seatIds) await sellOne(seatId, 0);
      return seatIds;
    },
    sellOne,
    cancelOne: async (seatId, version) => {
      const { reservationId } = await sale.seat(seatId);
      const order = { reservationId: reservationId ?? "", seatIds: [seatId] };
      await giveBack(drizzle(sale.pool), [order], [[version]]);
    },
    cursor: async () => only(await sale.rows("select epoch, id::int from ledger_cursors")),
    leaders,
    terminateLeader: async () => {
      await sale.rows("select pg_terminate_backend($1)", [only(await leaders()).pid]);
    },
    close: async () => {
      for (const relay of relays) await relay.close();
      await sale.close();
    },
  };
}

/** The events' identities of seats at a version. */
export const identities = (seatIds: number[], version = 1): string[] =>
  seatIds.map((seatId) => `${seatId}:${version}`);
