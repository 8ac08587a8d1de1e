import type { Measurement } from "./measure.ts";
import type { BenchOptions } from "./options.ts";
import type { Parts } from "./parts.ts";
import { openSeatsDatabase, type SeatsDatabase } from "./seats-database.ts";
import { openBare, openBaseline, openEngine, type SellingServer, type Server } from "./servers.ts";
import { FIRST_FREE_SEAT_ID, warmUp } from "./warm-up.ts";

/** Far above what the machine can sell in a second, so that no round runs out of free seats. */
const SEATS_A_SECOND = { engine: 40_000, baseline: 5_000 };
const SEATS_A_SECOND_AND_CONNECTION = 5_000;
const WARM_UP_SECONDS = 5;

/** The things that the scenarios of one group share; opened when the first needs them, closed with the group. */
export class Stage {
  private readonly opened = new Map<string, Promise<unknown>>();

  constructor(
    readonly closes: AsyncDisposableStack,
    readonly parts: Parts,
    readonly options: BenchOptions,
    /** Everything measured so far in this run. */
    readonly measurements: readonly Measurement[],
    readonly say: (text: string) => void,
  ) {}

  /** Opens the chosen servers that sell, warmed up. */
  sellers(): Promise<SellingServer[]> {
    return this.once("sellers", async () => {
      const servers: SellingServer[] = [];
      for (const name of ["engine", "baseline"] as const) {
        if (!this.options.servers.includes(name)) continue;
        this.say(`starting ${name}`);
        const server = await this.openSeller(name);
        await warmUp(server);
        servers.push(server);
      }
      return servers;
    });
  }

  /** @throws if the options leave it out */
  async engine(): Promise<SellingServer> {
    const engine = (await this.sellers()).find(({ name }) => name === "engine");
    if (!engine) throw new Error("--servers: this scenario needs the engine");
    return engine;
  }

  /** Opens the chosen servers with a constant answer, warmed up. */
  constants(): Promise<Server[]> {
    return this.once("constants", async () => {
      const servers: Server[] = [];
      for (const name of ["elysia", "bun"] as const) {
        if (!this.options.servers.includes(name)) continue;
        const server = await openBare(this.closes, name);
        await warmUp(server);
        servers.push(server);
      }
      return servers;
    });
  }

  /** Opens a database of this many seats, all free; the same one for every request of this size. */
  sizedDatabase(seatCount: number): Promise<SeatsDatabase> {
    return this.once(`seats ${seatCount}`, () => {
      this.say(`making ${seatCount.toLocaleString("en-US")} seats`);
      return openSeatsDatabase(this.closes, this.parts.postgres.url, `seats-${seatCount}`, seatCount);
    });
  }

  /**
   * Returns `count` seats that were never requested.
   * @throws if there are none left
   */
  takeSeats({ name, sale }: SellingServer, count: number): number {
    const first = sale.nextSeatId;
    sale.nextSeatId += count;
    if (sale.nextSeatId > sale.database.seatCount + 1) throw new Error(`${name} ran out of free seats`);
    return first;
  }

  private async openSeller(name: "engine" | "baseline"): Promise<SellingServer> {
    const { closes, parts } = this;
    const database = await openSeatsDatabase(closes, parts.postgres.url, name, this.seatsFor(name));
    return name === "engine"
      ? openEngine(closes, parts, { database, firstFreeSeatId: FIRST_FREE_SEAT_ID })
      : openBaseline(closes, parts, database, FIRST_FREE_SEAT_ID);
  }

  private seatsFor(name: "engine" | "baseline"): number {
    const { connections, rounds, seconds } = this.options;
    const most = SEATS_A_SECOND[name];
    const perSecond = connections.reduce(
      (sum, count) => sum + Math.min(most, count * SEATS_A_SECOND_AND_CONNECTION),
      most,
    );
    return FIRST_FREE_SEAT_ID + perSecond * rounds * seconds + most * WARM_UP_SECONDS;
  }

  private once<Result>(key: string, open: () => Promise<Result>): Promise<Result> {
    const found = this.opened.get(key) as Promise<Result> | undefined;
    const made = found ?? open();
    this.opened.set(key, made);
    return made;
  }
}
