import { sql } from "drizzle-orm";
import { createEvent } from "../../src/postgres/event-writes.ts";
import type { EventDraft } from "../../src/venue/catalogue.ts";
import type { AssignedLayout } from "../../src/venue/layout.ts";
import type { RequestPlan } from "../generator/task.ts";
import type { LoadResult } from "../load.ts";
import { type Measurement, measure } from "../measure.ts";
import { openSeatsDatabase, type SeatsDatabase } from "../seats-database.ts";
import { openEngine, type SellingServer } from "../servers.ts";
import type { Stage } from "../stage.ts";
import type { Scenario } from "./scenario.ts";
import { PEAK_CONNECTIONS } from "./yardsticks.ts";

/** More than any mode takes. */
const SEATS_A_SECOND = 25_000;
const PLACES_A_SECOND = 25_000;
const SEATS_A_ROW = 1_000;
/** A block gives 18,000 of its 20,000 seats in fours. The search in the last ones would be another measurement. */
const BLOCK = { rows: 100, seatsPerRow: 200, requests: 4_500 };
const BLOCKS_A_SECOND = 1.5;
const WARM_UP_BLOCKS = 2;
const MAP = { rows: 250, seatsPerRow: 400 };
const WARM_UP_SECONDS = 1;
const DEMO_SEATS = 1_000;
const YARDSTICK = "the reserve route";

interface Mode {
  name: string;
  /** Seats (or maps) per good response. */
  seatsPerAnswer: number;
  ledgerRows(result: LoadResult): number;
  plan(house: House, seconds: number): RequestPlan;
  /** Single seats that it needs per second. */
  seatsASecond?: number;
}

interface House {
  engine: SellingServer;
  mapEventId: number;
  houseEventId: number;
  nextBlock: number;
  takeSeats(count: number): number;
}

const seats = ({ accepted }: LoadResult) => accepted;
const fours = ({ accepted }: LoadResult) => 4 * accepted;
/** Modes on single seats, one after the other. */
const singles = (
  kind: "reserve" | "hold" | "confirm" | "basket",
  seatsASecond: number,
): Pick<Mode, "plan" | "seatsASecond"> => ({
  seatsASecond,
  plan: (house, seconds) => {
    const count = seatsASecond * seconds;
    const firstSeatId = house.takeSeats(count);
    return { kind, firstSeatId, lastSeatId: firstSeatId + count - 1 };
  },
});

const MODES: Mode[] = [
  {
    ...{ name: "reserve one seat", seatsPerAnswer: 1, ledgerRows: seats },
    ...singles("reserve", SEATS_A_SECOND),
  },
  { name: "hold one seat", seatsPerAnswer: 1, ledgerRows: seats, ...singles("hold", SEATS_A_SECOND) },
  {
    ...{ name: "hold one seat, then confirm it (both)", seatsPerAnswer: 1, ledgerRows: seats },
    ...singles("confirm", SEATS_A_SECOND),
  },
  {
    ...{ name: "hold four seats (seats)", seatsPerAnswer: 4, ledgerRows: fours },
    ...singles("basket", 2 * SEATS_A_SECOND),
  },
  {
    ...{ name: "hold the best four (seats)", seatsPerAnswer: 4, ledgerRows: fours },
    plan: (house, seconds) => {
      const firstBlock = house.nextBlock;
      house.nextBlock += Math.ceil(BLOCKS_A_SECOND * seconds);
      return { kind: "best", eventId: house.houseEventId, firstBlock, requestsPerBlock: BLOCK.requests };
    },
  },
  {
    ...{ name: "hold one place of general admission", seatsPerAnswer: 1, ledgerRows: seats },
    plan: ({ houseEventId: eventId }) => ({ kind: "general", eventId }),
  },
  {
    ...{ name: "read the map of 100,000 seats", seatsPerAnswer: 1, ledgerRows: () => 0 },
    plan: ({ mapEventId: eventId }) => ({ kind: "map", eventId }),
  },
];

/** Holds, baskets, confirmations, the search for seats and the map, beside the reserve route. */
export const holds: Scenario = {
  name: "holds",
  title: "Holds, baskets and the map",
  unit: "a second",
  async open(stage) {
    const house = await openHouse(stage);
    for (const mode of MODES) await measureMode(stage, house, mode, 0, WARM_UP_SECONDS);
    // Replans statements whose plans were made while these tables were empty, as in a database in use.
    await house.engine.sale.database.settleOnDisk();
    return MODES.map((mode) => ({
      connections: PEAK_CONNECTIONS,
      measure: (round) => measureMode(stage, house, mode, round, stage.options.seconds),
    }));
  },
};

async function measureMode(
  stage: Stage,
  house: House,
  mode: Mode,
  round: number,
  seconds: number,
): Promise<Measurement> {
  const isYardstick = mode === MODES[0];
  const { measurement, result } = await measure(
    stage.parts,
    house.engine,
    {
      ...{ scenario: "holds", server: "engine", variant: mode.name, round },
      ...(isYardstick ? { yardstick: YARDSTICK } : { comparedWith: YARDSTICK }),
    },
    {
      ...{ connections: PEAK_CONNECTIONS, seconds, plan: mode.plan(house, seconds) },
      ...{ isOwnGenerator: true },
    },
    { counts: "accepted", seatsPerAnswer: mode.seatsPerAnswer, ledgerRows: mode.ledgerRows },
  );
  const isWrong = measurement.others + measurement.lost > 0;
  return {
    ...measurement,
    figures: isWrong ? { "other answers": result.refused } : {},
  };
}

const rows = (count: number, seatCount: number): AssignedLayout => ({
  ...{ kind: "assigned", priceTier: 0, areas: [], x: 0, y: 0, seatSpacing: 1, rowSpacing: 1 },
  rows: Array.from({ length: count }, (_, index) => ({ label: String(index + 1), seatCount })),
  numbering: { perRow: true, start: 1, step: 1, prefix: "" },
});

const draft: Omit<EventDraft, "name" | "sections"> = {
  ...{ currency: "EUR", cancellable: false, status: "open", onSaleAtMs: null, offSaleAtMs: null },
  ...{ holdTtlSeconds: 600, holdLimitSeconds: 1800, reservationLimitSeats: 20, buyerLimitSeats: null },
  ...{ focalX: null, focalY: null, priceTiers: [{ name: "Standard", amountMinor: 15_000 }] },
};

/** Creates separate events for single seats, for blocks and a floor, and for a big map. */
async function openHouse(stage: Stage): Promise<House> {
  const { closes, parts, options } = stage;
  stage.say("making a house with blocks and a floor");
  const loadSeconds = options.rounds * options.seconds + WARM_UP_SECONDS;
  const database = await openSeatsDatabase(closes, parts.postgres.url, "holds", DEMO_SEATS);
  const blocks = Math.ceil(BLOCKS_A_SECOND * options.seconds) * options.rounds + WARM_UP_BLOCKS;
  const house = await createEvent(database.session, {
    ...{ ...draft, name: "House" },
    sections: [
      { name: "Floor", layout: { kind: "general", capacity: PLACES_A_SECOND * loadSeconds, priceTier: 0 } },
      ...Array.from({ length: blocks }, (_, index) => ({
        name: `Block ${index}`,
        layout: rows(BLOCK.rows, BLOCK.seatsPerRow),
      })),
    ],
  });
  const map = await createEvent(database.session, {
    ...{ ...draft, name: "Map" },
    sections: [{ name: "All", layout: rows(MAP.rows, MAP.seatsPerRow) }],
  });
  const singles = MODES.reduce((sum, { seatsASecond = 0 }) => sum + seatsASecond, 0) * loadSeconds;
  let nextSeatId = await makeSingles(database, Math.ceil(singles / SEATS_A_ROW));
  await database.settleOnDisk();
  const engine = await openEngine(closes, parts, { database });
  return {
    ...{ engine, houseEventId: house.id, mapEventId: map.id, nextBlock: 0 },
    takeSeats: (count) => {
      nextSeatId += count;
      return nextSeatId - count;
    },
  };
}

/**
 * Creates them as `createEvent` would, in a fraction of the time.
 * @returns the first seat
 */
async function makeSingles({ session }: SeatsDatabase, rowCount: number): Promise<number> {
  const { id } = await createEvent(session, { ...draft, name: "Singles", sections: [] });
  const { rows: found } = await session.execute<{ first: string }>(
    sql`select max(id) + 1 as first from seats`,
  );
  const firstSeatId = Number(found[0]?.first);
  const seatCount = rowCount * SEATS_A_ROW;
  await session.execute(sql`
    with section as (
      insert into sections (event_id, name, kind, first_seat_id, seat_count, layout)
      values (${id}, 'All', 'assigned', ${firstSeatId}, ${seatCount}, ${JSON.stringify(rows(rowCount, SEATS_A_ROW))}::jsonb)
      returning id
    )
    insert into seats (id, event_id, section_id, row_label, seat_number, price_minor)
    select ${firstSeatId} + place, ${id}, section.id, (place / ${SEATS_A_ROW} + 1)::text, (place % ${SEATS_A_ROW} + 1)::text, 15000
    from section, generate_series(0, ${seatCount} - 1) place`);
  return firstSeatId;
}
