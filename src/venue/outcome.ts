/**
 * The verdicts on a seat that is asked for. Each row has the outcome of the request, the status and the problem that the
 * client sees, and the label in the metrics of the reserve route. A request is told the first row that any of its seats has.
 */
export const VERDICTS = {
  /**
   * The order's `Idempotency-Key` was answered already, for the same request or another. The client gets the first answer
   * again, or this row's if it cannot be read back.
   */
  replayed: { outcome: "replayed", status: 409, slug: "request-in-progress" },
  key_mismatch: { outcome: "key_mismatch", status: 422, slug: "idempotency-key-reused" },
  /** The order's buyer would have more seats than the event allows. */
  over_limit: { outcome: "over_limit", status: 409, slug: "buyer-limit-reached" },
  /** The order's caller would have more seats in live holds than one caller may. */
  caller_over_limit: { outcome: "caller_over_limit", status: 409, slug: "hold-limit-reached" },
  /** The order would fit its caller's limit but for the caller's earlier orders in the batch: ask again. */
  caller_crowded: { outcome: "running", status: 409, slug: "request-in-progress" },
  missing: { outcome: "missing", status: 404, slug: "seat-not-found", label: "not_found" },
  /** The seat's event is not on sale. */
  closed: { outcome: "closed", status: 403, slug: "not-on-sale", label: "not_on_sale" },
  /** The order has more seats than the event allows. */
  too_many: { outcome: "too_many", status: 400, slug: "invalid-request" },
  /** The event limits its buyers, and the order names none. */
  buyer_needed: { outcome: "closed", status: 403, slug: "buyer-needed", label: "buyer_needed" },
  reserved: { outcome: "taken", status: 409, slug: "seats-taken", label: "reserved" },
  held: { outcome: "taken", status: 409, slug: "seats-taken", label: "held" },
  /** Another request is deciding on the seat at this moment. */
  contended: { outcome: "taken", status: 409, slug: "seats-taken", label: "contended" },
  /** Free, at another version than was observed. */
  moved: { outcome: "busy", status: 503, slug: "unavailable", label: "unavailable" },
  /** Free, but another seat of its order was not to be had. */
  free: { outcome: "busy", status: 503, slug: "unavailable", label: "unavailable" },
  won: { outcome: "won", status: 201, slug: null, label: "won" },
} as const;

export type SeatVerdict = keyof typeof VERDICTS;

type VerdictsOf<Outcome extends string> = {
  [Verdict in SeatVerdict]: (typeof VERDICTS)[Verdict]["outcome"] extends Outcome ? Verdict : never;
}[SeatVerdict];

/** Why a seat is taken. */
export type TakenReason = VerdictsOf<"taken">;

/** Why nobody, or nobody without a name, may take seats of the event now. */
export type ClosedReason = (typeof VERDICTS)[VerdictsOf<"closed">]["label"];

/** Why the client should come back: the queue is full, the database cannot be asked, or the process is ending. */
export const BUSY = {
  overloaded: { status: 503, slug: "unavailable", label: "overloaded" },
  unavailable: { status: 503, slug: "unavailable", label: "unavailable" },
  draining: { status: 503, slug: "unavailable", label: "draining" },
} as const;

export type BusyReason = keyof typeof BUSY;

/** The status of each outcome of the reserve route, by its label in the metrics. */
export const STATUS_BY_LABEL = {
  ...(Object.fromEntries(
    [...Object.values(VERDICTS), ...Object.values(BUSY)].flatMap((row) =>
      "label" in row ? [[row.label, row.status]] : [],
    ),
  ) as Record<Labelled["label"], number>),
  invalid: 400,
};

type Labelled = Extract<(typeof VERDICTS)[SeatVerdict] | (typeof BUSY)[BusyReason], { label: string }>;

/** A label of the reserve route in the metrics. */
export type ReserveLabel = keyof typeof STATUS_BY_LABEL;

/** The first row of the table that one of these verdicts has. */
export const firstOf = (verdicts: ReadonlySet<SeatVerdict>): SeatVerdict | undefined =>
  (Object.keys(VERDICTS) as SeatVerdict[]).find((verdict) => verdicts.has(verdict));

/**
 * The verdicts on a change of a reservation. Each row has the outcome, which is also the label in the metrics, and the
 * status and problem that the client sees. Those of `refused` depend on the reservation's state, those of `stopped` on
 * the action.
 */
export const CHANGE_VERDICTS = {
  done: { outcome: "done", status: 200, slug: null },
  missing: { outcome: "missing", status: 404, slug: "reservation-not-found" },
  /** The reservation's state does not allow it. */
  refused: { outcome: "refused" },
  /** The hold is over, and others have some of its seats. */
  gone: { outcome: "gone", status: 410, slug: "reservation-expired" },
  /** The event is closed, and its closing stops the action. */
  stopped: { outcome: "stopped" },
  over_limit: { outcome: "over_limit", status: 409, slug: "buyer-limit-reached" },
  replayed: { outcome: "replayed", status: 409, slug: "request-in-progress" },
  key_mismatch: { outcome: "key_mismatch", status: 422, slug: "idempotency-key-reused" },
  /** Another request is deciding on the same key, buyer or caller. */
  claimed: { outcome: "running", status: 409, slug: "request-in-progress" },
  /** Nothing was changed: the reservation is locked, has just changed, or needs its own transaction. Ask again. */
  again: { outcome: "busy", status: 503, slug: "unavailable" },
  /** Needs the transaction that counts the buyer's seats. */
  capped: { outcome: "busy", status: 503, slug: "unavailable" },
  /** Nothing was changed, because the database could not decide. */
  undecided: { outcome: "busy", status: 503, slug: "unavailable" },
} as const;

export type ChangeVerdict = keyof typeof CHANGE_VERDICTS;

/** The state after each action: of the reservation, as clients see it, and of its seats. */
export const ACTIONS = {
  confirm: { reservation: "CONFIRMED", seats: "reserved" },
  extend: { reservation: "HELD", seats: "held" },
  release: { reservation: "RELEASED", seats: "available" },
  cancel: { reservation: "CANCELLED", seats: "available" },
  expire: { reservation: "EXPIRED", seats: "available" },
} as const;

/** An action on a reservation. `expire` is the sweeper's. */
export type ReservationAction = keyof typeof ACTIONS;
