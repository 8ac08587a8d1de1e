import { eq, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type { CatalogueEvent, EventDraft, EventFacts, Section } from "../venue/catalogue.ts";
import { type PriceTier, Seating } from "../venue/layout.ts";
import { factsOf } from "./catalogue.ts";
import { ADVISORY_LOCKS } from "./epoch.ts";
import type { Transaction } from "./kept-answers.ts";
import { storedPrice } from "./prices.ts";
import { arrayOf, rowOf } from "./query.ts";
import { events, sections } from "./schema.ts";

/** Seats per insert. Their texts are a few hundred KiB, which take a few ms to build. */
const INSERT_LIMIT_SEATS = 2500;

/** Runs `insertEvent` in its own transaction. */
export async function createEvent(session: NodePgDatabase, draft: EventDraft): Promise<EventFacts> {
  const { sections: _, ...facts } = await underCatalogueLock(session, (tx) => insertEvent(tx, draft));
  return facts;
}

/**
 * Inserts an event with its sections and seats. The seat ids are one unbroken range in the order of the
 * sections; the caller's catalogue lock keeps concurrent inserts apart. Until it commits, later sales are not
 * published, because the ledger's reader waits for older transactions.
 * @throws if the session's statement timeout passes; nothing is then inserted
 */
export async function insertEvent(tx: Transaction, draft: EventDraft): Promise<CatalogueEvent> {
  const { onSaleAtMs, offSaleAtMs, sections: parts, ...same } = draft;
  const seatings = parts.map(({ name, layout }) => ({ name, seating: new Seating(layout) }));
  const seatCount = seatings.reduce((sum, { seating }) => sum + seating.seatCount, 0);
  const [event] = await tx
    .insert(events)
    .values({ ...same, onSaleAt: dateOf(onSaleAtMs), offSaleAt: dateOf(offSaleAtMs) })
    .returning();
  if (!event) throw new Error("the event was not inserted");
  const made: Section[] = [];
  let firstSeatId = await takeSeatIds(tx, seatCount);
  for (const { name, seating } of seatings) {
    made.push(await insertSection(tx, event, { name, seating, firstSeatId }));
    firstSeatId += seating.seatCount;
  }
  return { ...factsOf(event), sections: made };
}

type Changeable = Omit<
  EventFacts,
  "id" | "currency" | "cancellable" | "priceTiers" | "createdAtMs" | "revision"
>;
/** The fields of an event that may change. All others are in other processes' memories and in the seats' rows. */
export type EventChange = { [Field in keyof Changeable]?: Changeable[Field] | undefined };

/**
 * Changes an event unless `refuse` objects; it receives the event as it would be after the change.
 * @returns the changed event or the refusal; undefined if there is no such event
 */
export async function updateEvent<Refusal extends object>(
  tx: Transaction,
  eventId: number,
  { change, refuse }: { change: EventChange; refuse(event: EventFacts): Refusal | undefined },
): Promise<{ event: EventFacts } | { refusal: Refusal } | undefined> {
  const [found] = await tx.select().from(events).where(eq(events.id, eventId));
  if (!found) return undefined;
  const current = factsOf(found);
  if (Object.keys(change).length === 0) return { event: current };
  const refusal = refuse(Object.assign({}, current, change));
  if (refusal) return { refusal };
  const { onSaleAtMs, offSaleAtMs, ...same } = change;
  const [changed] = await tx
    .update(events)
    .set({
      ...same,
      ...(change.status === "open" && { stopsExtensions: false, stopsConfirmations: false }),
      ...(onSaleAtMs !== undefined && { onSaleAt: dateOf(onSaleAtMs) }),
      ...(offSaleAtMs !== undefined && { offSaleAt: dateOf(offSaleAtMs) }),
      revision: sql`nextval('catalogue_revision')`,
    })
    .where(eq(events.id, eventId))
    .returning();
  return changed && { event: factsOf(changed) };
}

/** Runs one change of the catalogue at a time, so that revisions and section ids commit in their order. */
export function underCatalogueLock<Result>(
  session: NodePgDatabase,
  work: (tx: Transaction) => Promise<Result>,
): Promise<Result> {
  return session.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${ADVISORY_LOCKS.catalogue})`);
    return work(tx);
  });
}

/** Reserves `count` consecutive ids and returns the first. A rollback leaves a gap. */
async function takeSeatIds(tx: Transaction, count: number): Promise<number> {
  const query = sql`
    select setval('seats_id_seq', greatest(nextval('seats_id_seq'), (select coalesce(max(id), 0) + 1 from seats)) + ${count - 1})::float8 as last`;
  return (await rowOf<{ last: number }>(tx, query)).last - count + 1;
}

async function insertSection(
  tx: Transaction,
  event: { id: number; priceTiers: PriceTier[] },
  { name, seating, firstSeatId }: { name: string; seating: Seating; firstSeatId: number },
): Promise<Section> {
  const { layout, seatCount } = seating;
  const [section] = await tx
    .insert(sections)
    .values({ eventId: event.id, name, kind: layout.kind, firstSeatId, seatCount, layout })
    .returning({ id: sections.id });
  if (!section) throw new Error("the section was not inserted");
  const prices = sql`(select array_agg((tier->>'amountMinor')::bigint order by position)
    from jsonb_array_elements(${JSON.stringify(event.priceTiers)}::jsonb) with ordinality as t(tier, position))`;
  for (let first = 0; first < seatCount; first += INSERT_LIMIT_SEATS) {
    const places = Array.from({ length: Math.min(INSERT_LIMIT_SEATS, seatCount - first) }, (_, index) =>
      seating.placeOf(first + index),
    );
    await tx.execute(sql`
      with prices as materialized (select ${prices} as of_tier)
      insert into seats (id, event_id, section_id, row_label, seat_number, price_minor, price_minor_large, price_tier, accessible, restricted_view)
      select ${firstSeatId + first} + position - 1, ${event.id}, ${section.id}, row_label, seat_number,
             ${storedPrice(sql`of_tier[price_tier + 1]`)}, price_tier, accessible, restricted_view
      from prices, unnest(
        ${sql.param(places.map((place) => place.rowLabel))}::text[], ${sql.param(places.map((place) => place.seatNumber))}::text[],
        ${arrayOf(places.map((place) => place.priceTier))}::smallint[], ${arrayOf(places.map((place) => place.accessible))}::boolean[],
        ${arrayOf(places.map((place) => place.restrictedView))}::boolean[]
      ) with ordinality as p(row_label, seat_number, price_tier, accessible, restricted_view, position)`);
  }
  return { id: section.id, eventId: event.id, name, firstSeatId, seatCount, layout, seating };
}

const dateOf = (timeMs: number | null) => (timeMs === null ? null : new Date(timeMs));
