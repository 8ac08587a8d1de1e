import { asc, gt, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type { EventFacts, SectionFacts } from "../venue/catalogue.ts";
import { rowOf } from "./query.ts";
import { events, sections } from "./schema.ts";

/** Reads every event, and the sections with a greater id than the given one. Known sections never change. */
export async function readCatalogue(
  database: NodePgDatabase,
  afterSectionId = 0,
): Promise<{ events: EventFacts[]; sections: SectionFacts[] }> {
  // Events first: a section committed in between then waits for its event, whose revision is not known yet.
  // In the other order, its event would seem to have no sections.
  const eventRows = await database.select().from(events).orderBy(asc(events.id));
  const sectionRows = await database
    .select({
      id: sections.id,
      eventId: sections.eventId,
      name: sections.name,
      firstSeatId: sections.firstSeatId,
      seatCount: sections.seatCount,
      layout: sections.layout,
    })
    .from(sections)
    .where(gt(sections.id, afterSectionId))
    .orderBy(asc(sections.id));
  // Requests name sections in the composed form; an older version stored names as sent.
  const composed = sectionRows.map((row) => ({ ...row, name: row.name.normalize("NFC") }));
  return { events: eventRows.map(factsOf), sections: composed };
}

/** The epoch of the database and the revision of its catalogue. */
export interface Pulse {
  epoch: number;
  /** The newest `EventFacts.revision` of all events; -1 if there are none. */
  catalogueRevision: number;
}

export function readPulse(database: NodePgDatabase): Promise<Pulse> {
  return rowOf(
    database,
    sql`select coalesce(max(epoch), 0) as epoch,
               (select coalesce(max(revision), -1) from events)::float8 as "catalogueRevision" from ledger_epochs`,
  );
}

/** Converts an event's row for the catalogue. */
export function factsOf(row: typeof events.$inferSelect): EventFacts {
  const { onSaleAt, offSaleAt, createdAt, ...same } = row;
  return {
    ...same,
    priceTiers: same.priceTiers.map((tier) => ({ ...tier, name: tier.name.normalize("NFC") })),
    onSaleAtMs: onSaleAt?.getTime() ?? null,
    offSaleAtMs: offSaleAt?.getTime() ?? null,
    createdAtMs: createdAt.getTime(),
  };
}
