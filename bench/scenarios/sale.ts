import { type Measurement, measure } from "../measure.ts";
import { openSeatsDatabase } from "../seats-database.ts";
import { openEngine, type SellingServer } from "../servers.ts";
import type { Stage } from "../stage.ts";
import type { Scenario } from "./scenario.ts";
import { PEAK_CONNECTIONS } from "./yardsticks.ts";

const REQUESTS_PER_SEAT = 10;
/** The requests end the sale, not the time. */
const TIME_LIMIT_SECONDS = 300;

/** A whole sale: ten requests per seat, most of them for the most wanted seats, until all are sold. */
export const sale: Scenario = {
  name: "sale",
  title: "The sale: until sold out",
  unit: "accepted/s",
  async open(stage) {
    const { closes, parts, options } = stage;
    const seatCount = options.saleSeats * options.rounds;
    const database = await openSeatsDatabase(closes, parts.postgres.url, "sale", seatCount);
    const engine = await openEngine(closes, parts, { database });
    return [{ connections: PEAK_CONNECTIONS, measure: (round) => sellOut(stage, engine, round) }];
  },
};

async function sellOut(stage: Stage, engine: SellingServer, round: number): Promise<Measurement> {
  const { saleSeats: seatCount } = stage.options;
  const requestCount = seatCount * REQUESTS_PER_SEAT;
  const firstSeatId = stage.takeSeats(engine, seatCount);
  const { measurement, result } = await measure(
    stage.parts,
    engine,
    { scenario: "sale", server: "engine", variant: "", round },
    {
      ...{ connections: PEAK_CONNECTIONS, seconds: TIME_LIMIT_SECONDS },
      plan: { kind: "sale", firstSeatId, seatCount, requestCount },
    },
    { counts: "accepted", ledgerRows: ({ accepted }) => accepted },
  );
  const reserved = await engine.sale.database.reservedSeats(firstSeatId, seatCount);
  const { statuses = {}, seatsWon = 0, seatsWonTwice = 0, lost } = result;
  const faults = [
    ...(reserved === seatCount ? [] : [`${reserved} of ${seatCount} seats are reserved`]),
    ...(seatsWon === seatCount ? [] : [`${seatsWon} of ${seatCount} seats were won by somebody`]),
    ...(seatsWonTwice === 0 ? [] : [`${seatsWonTwice} seats were won twice`]),
    ...(Object.keys(statuses).join() === "201,409" && lost === 0
      ? []
      : [`answers were ${JSON.stringify(statuses)}, ${lost} lost`]),
  ];
  return {
    ...measurement,
    others: result.answers - (statuses["201"] ?? 0) - (statuses["409"] ?? 0),
    figures: {
      "seconds to sell out": result.durationMs / 1000,
      "requests/s": (result.answers * 1000) / result.durationMs,
      "seats reserved": reserved,
    },
    check: measurement.check && { ...measurement.check, faults },
  };
}
