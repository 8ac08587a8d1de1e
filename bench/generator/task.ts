/** What is asked for, one request after the other. */
export type RequestPlan =
  /**
   * One seat after the other, from the first again after the last. `reserve`: the contract's route; `hold`;
   * `confirm`: holds and confirms each hold; `cycle`: holds and gives each back; `basket`: holds four at once.
   */
  | { kind: "reserve" | "hold" | "confirm" | "cycle" | "basket"; firstSeatId: number; lastSeatId: number }
  /** As many requests as a crowd makes for these seats, each seat asked for at least once. */
  | { kind: "sale"; firstSeatId: number; seatCount: number; requestCount: number }
  /** The four best seats of "Block n"; the next block after `requestsPerBlock`. */
  | { kind: "best"; eventId: number; firstBlock: number; requestsPerBlock: number }
  /** One place of the section "Floor". */
  | { kind: "general"; eventId: number }
  | { kind: "map"; eventId: number };

export type Pace =
  /** Each connection sends its next request when it has its answer. */
  | { kind: "closed" }
  /** Requests begin at a constant rate, whatever the answers do. */
  | { kind: "open"; perSecond: number }
  /** All connections are opened first, then each sends one request, all at once. */
  | { kind: "burst" };

export interface GeneratorTask {
  url: string;
  connections: number;
  /** How long requests begin; a plan that ends does so earlier, a burst at once. */
  seconds: number;
  plan: RequestPlan;
  pace: Pace;
  /** Opened beforehand and silent until the end. */
  idleConnections: number;
}

export interface Latency {
  p50Ms: number;
  p99Ms: number;
  p999Ms: number;
  maxMs: number;
}

/** Answers in one interval of the load. */
export interface RateSample {
  /** From the load's begin to the interval's end. */
  atSeconds: number;
  acceptedPerSecond: number;
  refusedPerSecond: number;
}

export interface GeneratorResult {
  /** From the first request to the last answer. */
  durationMs: number;
  /** Answers by status. */
  statuses: Record<string, number>;
  /** Requests without an answer. */
  lost: number;
  /** In an open loop: requests that began more than 10 ms late, and requests that never began. */
  late: number;
  notSent: number;
  latency: Latency;
  samples: RateSample[];
  /** Seats for which two requests or more were answered 201; for `reserve` and `sale`. */
  seatsWonTwice: number;
  seatsWon: number;
}
