import type { z } from "zod";
import type { FromDatabase } from "../http/from-database.ts";
import { eventNotFound } from "../http/parameters.ts";
import { invalidValue, type ProblemResponse } from "../http/problem.ts";
import type { Route } from "../http/route.ts";
import { listSeats, type SeatQuery } from "../postgres/seat-views.ts";
import type { CatalogueEvent } from "../venue/catalogue.ts";
import { getEvent, listEvents, listSeatsOfEvent, listSections } from "./contract.ts";
import type { RouteDependencies } from "./dependencies.ts";
import { LIST_SEATS_PER_UNIT, seatPage } from "./seat-page.ts";
import { eventSummary, eventView, sectionView } from "./views.ts";

/** Routes that show events and their sections from this process's memory, and their seats from the database. */
export function eventRoutes(dependencies: RouteDependencies): Route[] {
  const { serve, database, ask, askDatabase, keeper, maps, guard } = dependencies;
  /** Answers about an event, or says that it does not exist. */
  const ofEvent = <Answer>(
    eventId: number,
    answer: (event: CatalogueEvent) => Answer | Promise<Answer>,
    from: FromDatabase = ask,
  ) =>
    from(async () => {
      const event = await keeper.find(eventId);
      return event ? answer(event) : eventNotFound(eventId);
    });

  return [
    serve(listEvents, ({ query: { after, limit } }) => {
      const found = keeper.catalogue.events
        .filter(({ id }) => id > after)
        .toSorted((a, b) => a.id - b.id)
        .slice(0, limit);
      return {
        events: found.map(eventSummary),
        next: found.length === limit ? (found.at(-1)?.id ?? null) : null,
      };
    }),
    serve(getEvent, ({ params }) =>
      ofEvent(params.eventId, (event) => eventView(event, maps.mapOf(event).availability)),
    ),
    serve(listSections, ({ params }) =>
      ofEvent(params.eventId, (event) => ({
        sections: event.sections.map((section) => sectionView(section, event)),
      })),
    ),
    serve(listSeatsOfEvent, ({ params, query, request }) =>
      ofEvent(
        params.eventId,
        async (event) => {
          const filter = filterOf(event, query);
          if (filter instanceof Response) return filter;
          const page = await listSeats(database, filter);
          guard.charge(request, page.lookedAt / LIST_SEATS_PER_UNIT);
          return seatPage(page, keeper);
        },
        askDatabase,
      ),
    ),
  ];
}

/**
 * Converts the query to a filter of ids and numbers. Returns the problem if the event has no section or tier of that
 * name.
 */
function filterOf(
  event: CatalogueEvent,
  { section: name, priceTier: tierName, ...same }: z.output<typeof listSeatsOfEvent.query>,
): SeatQuery | ProblemResponse<"invalid-request"> {
  const section = event.sections.find((each) => each.name === name);
  if (name !== undefined && !section) {
    return invalidValue("query", "section", "must be the name of a section of this event");
  }
  const priceTier = event.priceTiers.findIndex((tier) => tier.name === tierName);
  if (tierName !== undefined && priceTier < 0) {
    return invalidValue("query", "priceTier", "must be the name of a price tier of this event");
  }
  const [first, last] = section ? [section, section] : [event.sections[0], event.sections.at(-1)];
  const range = first && last && { first: first.firstSeatId, end: last.firstSeatId + last.seatCount };
  return { ...same, eventId: event.id, range, priceTier: tierName === undefined ? undefined : priceTier };
}
