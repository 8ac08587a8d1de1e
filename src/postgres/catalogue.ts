import { asc, gt, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type { EventFacts, SectionFacts } from "../venue/catalogue.ts";
import { events, sections } from "./schema.ts";

/** Every event; and the sections with a greater id than the one given, since those known never change. */
export async function readCatalogue(
  database: NodePgDatabase,
  afterSectionId = 0,
): Promise<{ events: EventFacts[]; sections: SectionFacts[] }> {
  // Events first: a section that is committed in between waits for its event, whose revision is not known
  // yet. The other way round an event would be taken for one without sections.
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
  // Requests name sections in the composed form; an older version stored names as they were sent.
  const composed = sectionRows.map((row) => ({ ...row, name: row.name.normalize("NFC") }));
  return { events: eventRows.map(factsOf), sections: composed };
}

/** What the database lives in now: the epoch, and how often the catalogue was changed. */
export interface Pulse {
  epoch: number;
  /** As `EventFacts.revision`, the newest of all events; -1 when there is none. */
  catalogueRevision: number;
}

export async function readPulse(database: NodePgDatabase): Promise<Pulse> {
  const { rows } = await database.execute<{ epoch: number; revision: string }>(
    sql`select max(epoch) as epoch, (select coalesce(max(revision), -1) from events) as revision from ledger_epochs`,
  );
  return { epoch: rows[0]?.epoch ?? 0, catalogueRevision: Number(rows[0]?.revision ?? -1) };
}

export async function readCatalogueRevision(database: NodePgDatabase): Promise<number> {
  return (await readPulse(database)).catalogueRevision;
}

/** An event's row as the catalogue knows it. */
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
