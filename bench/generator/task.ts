/** The requests of a load, one after the other. */
export type RequestPlan =
  /**
   * One seat after the other, starting again after the last. `reserve`: the contract's route; `hold`;
   * `confirm`: holds and confirms each hold; `cycle`: holds and releases each seat; `basket`: holds four at
   * once.
   */
  | { kind: "reserve" | "hold" | "confirm" | "cycle" | "basket"; firstSeatId: number; lastSeatId: number }
  /** The requests of a crowd for these seats; each seat is requested at least once. */
  | { kind: "sale"; firstSeatId: number; seatCount: number; requestCount: number }
  /** The four best seats of "Block n"; the next block after `requestsPerBlock`. */
  | { kind: "best"; eventId: number; firstBlock: number; requestsPerBlock: number }
  /** One place of the section "Floor". */
  | { kind: "general"; eventId: number }
  | { kind: "map"; eventId: number };

export type Pace =
  /** Each connection sends its next request when it has its response. */
  | { kind: "closed" }
  /** Requests start at a constant rate, independently of the responses. */
  | { kind: "open"; perSecond: number }
  /** All connections are opened first, then each sends one request, all at once. */
  | { kind: "burst" };

export interface GeneratorTask {
  url: string;
  connections: number;
  /** How long requests start. A plan that ends stops earlier, a burst at once. */
  seconds: number;
  plan: RequestPlan;
  pace: Pace;
  /** Opened before the load and silent until its end. */
  idleConnections: number;
}

export interface Latency {
  p50Ms: number;
  p99Ms: number;
  p999Ms: number;
  maxMs: number;
}

/** Responses in one interval of the load. */
export interface RateSample {
  /** From the load's start to the interval's end. */
  atSeconds: number;
  acceptedPerSecond: number;
  refusedPerSecond: number;
}

export interface GeneratorResult {
  /** From the first request to the last response. */
  durationMs: number;
  /** Responses by status. */
  statuses: Record<string, number>;
  /** Requests without a response. */
  lost: number;
  /** In an open loop: requests that started more than 10 ms late, and requests that never started. */
  late: number;
  notSent: number;
  latency: Latency;
  samples: RateSample[];
  /** Seats for which several requests got 201; for `reserve` and `sale`. */
  seatsWonTwice: number;
  seatsWon: number;
}
