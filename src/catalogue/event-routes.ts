import { Elysia } from "elysia";
import { z } from "zod";
import { integer } from "../config/setting-types.ts";
import type { FromDatabase } from "../http/from-database.ts";
import { observed, observedWithQuery } from "../http/observed.ts";
import { plainText } from "../http/plain-text.ts";
import { problem } from "../http/problem.ts";
import { listSeats, type SeatQuery } from "../postgres/seat-views.ts";
import type { CatalogueEvent } from "../venue/catalogue.ts";
import { eventNotFound, readEventId, readQuery } from "./asking.ts";
import { eventDetail, eventSeatsDetail, eventsDetail, sectionsDetail } from "./event-openapi.ts";
import type { CatalogueNeighbours } from "./neighbours.ts";
import { LIST_SEATS_PER_UNIT, seatFilters, seatPage } from "./seat-page.ts";
import { LABEL_LIMIT_CHARACTERS } from "./section-description.ts";
import { eventSummary, eventView, sectionView } from "./views.ts";

const EVENTS = "/api/v1/events";

const page = z.strictObject({
  after: integer(0, Number.MAX_SAFE_INTEGER).default(0),
  limit: integer(1, 1000).default(100),
});

/** Composed, as the catalogue stores names. */
const name = z.string().transform((text) => text.normalize("NFC"));

const seatsQuery = z.strictObject({
  ...seatFilters,
  section: name.optional(),
  priceTier: name.optional(),
  accessible: z
    .enum(["true", "false"])
    .transform((value) => value === "true")
    .optional(),
  row: plainText(LABEL_LIMIT_CHARACTERS).optional(),
});

/** Events and their sections, from this process's memory; their seats, from the database. */
export function eventRoutes({
  database,
  ask,
  askDatabase,
  keeper,
  maps,
  guard,
  metrics,
}: CatalogueNeighbours) {
  /** Answers about an event, or that there is none. */
  const ofEvent = (
    text: string | undefined,
    answer: (event: CatalogueEvent) => unknown,
    asking: FromDatabase = ask,
  ): Response | Promise<unknown> => {
    const eventId = readEventId(text);
    if ("problem" in eventId) return eventId.problem;
    return asking(async () => {
      const event = await keeper.find(eventId.value);
      return event ? answer(event) : eventNotFound(eventId.value);
    });
  };

  return new Elysia({ name: "events" })
    .get(
      ...observedWithQuery(
        metrics,
        EVENTS,
        guard.guarded("reader", ({ query }) => {
          const read = readQuery(query, page);
          if ("problem" in read) return read.problem;
          const { after, limit } = read.value;
          const found = keeper.catalogue.events
            .filter(({ id }) => id > after)
            .toSorted((a, b) => a.id - b.id)
            .slice(0, limit);
          return {
            events: found.map(eventSummary),
            next: found.length === limit ? (found.at(-1)?.id ?? null) : null,
          };
        }),
      ),
      { detail: eventsDetail },
    )
    .get(
      ...observed(
        metrics,
        `${EVENTS}/:eventId`,
        guard.guarded("reader", ({ params }) =>
          ofEvent(params.eventId, (event) => eventView(event, maps.mapOf(event).availability)),
        ),
      ),
      { detail: eventDetail },
    )
    .get(
      ...observed(
        metrics,
        `${EVENTS}/:eventId/sections`,
        guard.guarded("reader", ({ params }) =>
          ofEvent(params.eventId, (event) => ({
            sections: event.sections.map((section) => sectionView(section, event)),
          })),
        ),
      ),
      { detail: sectionsDetail },
    )
    .get(
      ...observedWithQuery(
        metrics,
        `${EVENTS}/:eventId/seats`,
        guard.guarded("reader", ({ params, query, request }) => {
          const read = readQuery(query, seatsQuery);
          if ("problem" in read) return read.problem;
          const seatsOf = async (event: CatalogueEvent) => {
            const filter = filterOf(event, read.value);
            if (filter instanceof Response) return filter;
            const page = await listSeats(database, filter);
            guard.charge(request, page.lookedAt / LIST_SEATS_PER_UNIT);
            return seatPage(page, keeper);
          };
          return ofEvent(params.eventId, seatsOf, askDatabase);
        }),
      ),
      { detail: eventSeatsDetail },
    );
}

/** What to read of the event's seats, by ids and numbers; or the problem with a name that it does not have. */
function filterOf(
  event: CatalogueEvent,
  { section: name, priceTier: tierName, ...same }: z.output<typeof seatsQuery>,
): SeatQuery | Response {
  const section = event.sections.find((each) => each.name === name);
  if (name !== undefined && !section) {
    return problem("invalid-request", "section: must be the name of a section of this event.");
  }
  const priceTier = event.priceTiers.findIndex((tier) => tier.name === tierName);
  if (tierName !== undefined && priceTier < 0) {
    return problem("invalid-request", "priceTier: must be the name of a price tier of this event.");
  }
  const [first, last] = section ? [section, section] : [event.sections[0], event.sections.at(-1)];
  const range = first && last && { first: first.firstSeatId, end: last.firstSeatId + last.seatCount };
  return { ...same, eventId: event.id, range, priceTier: tierName === undefined ? undefined : priceTier };
}
