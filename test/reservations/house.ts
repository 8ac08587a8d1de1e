import type { ReservationFacts } from "../../src/postgres/change.ts";
import type { KeyClaim } from "../../src/postgres/claims.ts";
import { type HoldBody, holdSchema } from "../../src/reservations/hold-body.ts";
import { type HoldResult, Holds } from "../../src/reservations/holds.ts";
import { SeatFinder } from "../../src/reservations/seat-finder.ts";
import { Catalogue, type EventFacts, type Section, type SectionFacts } from "../../src/venue/catalogue.ts";
import type { AssignedLayout } from "../../src/venue/layout.ts";
import { answerOf, openBatcher, type SeatAnswer, turn } from "./worker.ts";

const eventFacts = (id: number, more: Partial<EventFacts>): EventFacts => ({
  ...{ id, name: `event ${id}`, currency: "EUR", cancellable: true, status: "open", revision: id },
  ...{ onSaleAtMs: null, offSaleAtMs: null, holdTtlSeconds: 600, holdLimitSeconds: 1800, createdAtMs: 0 },
  ...{ reservationLimitSeats: 20, buyerLimitSeats: null, focalX: null, focalY: null },
  priceTiers: [
    { name: "Gold", amountMinor: 15_000 },
    { name: "Silver", amountMinor: 9000 },
  ],
  ...more,
});

const rows = (priceTier: number, ...counts: number[]): AssignedLayout => ({
  ...{ kind: "assigned", priceTier, areas: [], x: 0, y: 0, seatSpacing: 1, rowSpacing: 1 },
  rows: counts.map((seatCount, index) => ({ label: "ABCDEFG"[index] ?? "?", seatCount })),
  numbering: { perRow: true, start: 1, step: 1, prefix: "" },
});

const SECTIONS: SectionFacts[] = [
  { id: 1, eventId: 1, name: "Stalls", firstSeatId: 1, seatCount: 8, layout: rows(0, 4, 4) },
  { id: 2, eventId: 1, name: "Circle", firstSeatId: 11, seatCount: 4, layout: rows(1, 4) },
  {
    ...{ id: 3, eventId: 1, name: "Floor", firstSeatId: 21, seatCount: 6 },
    layout: { kind: "general", capacity: 6, priceTier: 1 },
  },
  { id: 4, eventId: 2, name: "Stalls", firstSeatId: 31, seatCount: 4, layout: rows(0, 4) },
];

/** Seats of event 1: 1 to 8 in two rows, 11 to 14 in one, 21 to 26 without; of event 2: 31 to 34. All free. */
export function openCatalogue(more: Partial<EventFacts> = {}): Catalogue {
  const catalogue = new Catalogue();
  catalogue.replace([eventFacts(1, more), eventFacts(2, {})], SECTIONS);
  return catalogue;
}

/** Holds in that house, whose worker threads are the test. */
export function openHouse(more: Partial<EventFacts> = {}) {
  const opened = openBatcher();
  const { batcher, memory } = opened;
  const catalogue = openCatalogue(more);
  for (const { firstSeatId, seatCount } of SECTIONS) {
    for (let index = 0; index < seatCount; index++) memory.learn(firstSeatId + index, 0, "available", false);
  }
  const finder = new SeatFinder({ catalogue, memory, isInFlight: (seatId) => batcher.isInFlight(seatId) });
  /** Sections that the database was asked about, and what it then says. */
  const looks: string[] = [];
  const database = { look: async (_section: Section): Promise<void> => undefined };
  const replays = new Map<string, ReservationFacts>();
  const holds = new Holds({
    ...{ batcher, finder },
    eventOf: (seatId) => catalogue.event(catalogue.sectionOf(seatId)?.eventId ?? 0),
    findEvent: async (eventId) => catalogue.event(eventId),
    refresh: async (sections) => {
      looks.push(...sections.map(({ name }) => name));
      for (const section of sections) await database.look(section);
    },
    findReplay: async ({ key }) => replays.get(key),
  });
  /** Asks as a client does; the result is undefined until there is one. */
  const askFor = (body: Record<string, unknown>, key: KeyClaim | null = null) => {
    const asked: { result?: HoldResult; error?: unknown } = {};
    const checked: HoldBody = holdSchema.parse(body);
    holds.hold(checked, key).then(
      (result) => Object.assign(asked, { result }),
      (error) => Object.assign(asked, { error }),
    );
    return asked;
  };
  /** The worker's answer to the newest batch: the same for each of its seats. */
  const answerAll = (answer: SeatAnswer) => {
    const { seatIds, answers } = opened.last();
    return answers(answerOf(seatIds.map(() => answer)));
  };
  /** Asks, and lets the worker answer batch after batch so. */
  const decide = async (body: Record<string, unknown>, answers: SeatAnswer[] = [], key?: KeyClaim) => {
    const asked = askFor(body, key);
    await turn();
    for (const answer of answers) await answerAll(answer);
    return asked;
  };
  return { ...opened, catalogue, finder, looks, database, replays, askFor, answerAll, decide };
}
