import type { Answer, Asked, History, Operation, ReservationStatus, SeatStatus } from "./history.ts";

const HOLD_TTL_MS = 1000;
/** What was done behind a client's back is done by then. */
const SETTLED_AT_MS = 15;

/** Asked from the first moment to the second, or never answered. */
type Told = [asked: Asked, fromMs: number, toMs: number, answer: Answer];

const reserve = (seatId: number): Asked => ({ do: "reserve", seatId });
const hold = (seatIds: number[], key: string | null = null): Asked => ({ do: "hold", seatIds, key });
const look = (seatId: number): Asked => ({ do: "look", seatId });
const of = (what: "confirm" | "extend" | "release" | "cancel", reservationId: string): Asked => ({
  ...{ do: what, reservationId, key: null },
});
const show = (reservationId: string): Asked => ({ do: "show", reservationId });
const won = (reservationId: string, version: number): Answer => ({ kind: "won", reservationId, version });
const held = (reservationId: string, expiresAtMs: number, isReplay = false): Answer => ({
  ...{ kind: "held", reservationId, expiresAtMs, isReplay },
});
const done: Answer = { kind: "done" };
const until = (expiresAtMs: number): Answer => ({ kind: "done", expiresAtMs });
const taken = (seatId: number, reason: "reserved" | "held" | "contended"): Answer => ({
  ...{ kind: "taken", seats: [{ seatId, reason }] },
});
const refused = (status: ReservationStatus): Answer => ({ kind: "refused", status });
const is = (status: SeatStatus, version: number): Answer => ({ kind: "seat", status, version });
const busy: Answer = { kind: "busy" };
const unknown: Answer = { kind: "unknown" };

/** What went right, and the same but for one thing. */
interface Planted {
  sound: Told[];
  faulty: Told[];
}

/** The last of them went wrong: its answer is another. */
const last = (sound: Told[], ...faults: Answer[]): Planted[] =>
  faults.map((answer) => {
    const [asked, fromMs, toMs] = sound.at(-1) ?? [look(1), 0, 0];
    return { sound, faulty: [...sound.slice(0, -1), [asked, fromMs, toMs, answer]] };
  });

const A_WON: Told = [reserve(1), 0, 10, won("a", 1)];
const A_HELD: Told = [hold([1]), 0, 10, held("a", 1005)];
const A_AND_2_HELD: Told = [hold([1, 2]), 0, 10, held("a", 1005)];
const A_CANCELLED: Told = [of("cancel", "a"), 20, 30, done];

/** By the name of the one thing. */
export const PLANTED: Record<string, Planted[]> = {
  "a second winner": last([A_WON, [reserve(1), 5, 30, taken(1, "reserved")]], won("b", 1), won("b", 2)),
  "a 201 that is forgotten": last([A_WON, [look(1), 20, 30, is("reserved", 1)]], is("available", 0)),
  "a 409 of a seat that was free all along": [
    ...last([A_WON, A_CANCELLED, [reserve(1), 40, 50, won("b", 3)]], taken(1, "reserved"), taken(1, "held")),
    {
      sound: [[reserve(1), 5, 15, taken(1, "reserved")], A_WON],
      faulty: [
        [reserve(1), 5, 15, taken(1, "reserved")],
        [reserve(1), 16, 20, won("a", 1)],
      ],
    },
  ],
  "a 409 of a basket for a seat of it that was free": last(
    [A_WON, [hold([1, 2]), 20, 30, taken(1, "reserved")]],
    taken(2, "reserved"),
  ),
  "a 409 for a rival who was not there": [
    ...last([[reserve(1), 0, 10, won("a", 1)]], taken(1, "contended")),
    ...last([A_WON, A_CANCELLED, [reserve(1), 31, 40, won("b", 3)]], taken(1, "contended")),
  ],
  "rivals who all lost to each other": last(
    [
      [reserve(1), 0, 10, taken(1, "contended")],
      [hold([1, 2]), 0, 10, taken(1, "contended")],
      [reserve(1), 5, 15, won("c", 1)],
    ],
    taken(1, "contended"),
  ),
  "a hold that refuses others after its end": [
    {
      sound: [A_HELD, [reserve(1), 1000, 1020, taken(1, "held")]],
      faulty: [A_HELD, [reserve(1), 1007, 1020, taken(1, "held")]],
    },
  ],
  "a hold taken over before its end": [
    {
      sound: [A_HELD, [reserve(1), 1000, 1020, won("b", 2)]],
      faulty: [A_HELD, [reserve(1), 980, 1000, won("b", 2)]],
    },
    {
      sound: [A_HELD, [of("extend", "a"), 500, 510, until(1505)], [reserve(1), 1500, 1510, won("b", 3)]],
      faulty: [A_HELD, [of("extend", "a"), 500, 510, until(1505)], [reserve(1), 1100, 1110, won("b", 3)]],
    },
  ],
  "a 404 of what is there": [
    ...last([A_WON, [reserve(1), 20, 30, taken(1, "reserved")]], { kind: "missing" }),
    ...last([A_HELD, [of("confirm", "a"), 20, 30, done]], { kind: "missing" }),
    ...last([A_HELD, [show("a"), 20, 30, { kind: "reservation", status: "held" }]], { kind: "missing" }),
  ],
  "a version left out": [
    ...last([A_WON], won("a", 2)),
    ...last([A_WON, A_CANCELLED, [look(1), 40, 50, is("available", 2)]], is("available", 3)),
  ],
  "a version given twice": last(
    [A_WON, A_CANCELLED, [reserve(1), 40, 50, won("b", 3)]],
    won("b", 2),
    won("b", 1),
  ),
  "a look at what is yet to come": [
    {
      sound: [[look(1), 0, 5, is("reserved", 1)], A_WON],
      faulty: [
        [look(1), 0, 5, is("reserved", 1)],
        [reserve(1), 6, 10, won("a", 1)],
      ],
    },
    {
      sound: [
        [look(1), 40, 60, is("reserved", 1)],
        [reserve(1), 50, Number.POSITIVE_INFINITY, unknown],
      ],
      faulty: [
        [look(1), 40, 49, is("reserved", 1)],
        [reserve(1), 50, Number.POSITIVE_INFINITY, unknown],
      ],
    },
  ],
  "a look that goes back": last(
    [
      [reserve(1), 0, 90, won("a", 1)],
      [look(1), 10, 20, is("reserved", 1)],
      [look(1), 30, 40, is("reserved", 1)],
    ],
    is("available", 0),
  ),
  "half a basket": [
    ...last([A_AND_2_HELD, [reserve(2), 20, 30, taken(2, "held")]], won("b", 1), won("b", 2)),
    ...last(
      [
        [hold([1, 2]), 0, Number.POSITIVE_INFINITY, unknown],
        [look(1), 20, 30, is("held", 1)],
        [look(2), 40, 50, is("held", 1)],
      ],
      is("available", 0),
    ),
    ...last(
      [
        A_AND_2_HELD,
        [of("release", "a"), 20, 30, unknown],
        [look(1), 40, 50, is("available", 2)],
        [look(2), 60, 70, is("available", 2)],
      ],
      is("held", 1),
    ),
  ],
  "a seat that stays with a buyer who was told 503": [
    ...last(
      [
        [reserve(1), 0, 10, busy],
        [look(1), 20, 30, is("available", 2)],
      ],
      is("reserved", 1),
    ),
    ...last(
      [
        [reserve(1), 0, 10, unknown],
        [look(1), 20, 30, is("reserved", 1)],
      ],
      is("available", 2),
    ),
  ],
  "two reservations of one key": last(
    [
      [hold([1], "k"), 0, 10, held("a", 1005)],
      [of("release", "a"), 20, 30, done],
      [hold([1], "k"), 40, 50, held("a", 1005, true)],
    ],
    held("b", 1045),
    held("b", 1045, true),
    held("a", 1045),
  ),
  "a replay of what was never done": last([[hold([1], "k"), 0, 10, held("a", 1005)]], held("a", 1005, true)),
  "a confirmation after others have a seat of it": last(
    [
      A_AND_2_HELD,
      [reserve(2), 1010, 1020, won("b", 2)],
      [of("confirm", "a"), 1030, 1040, { kind: "gone", seatIds: [2] }],
    ],
    done,
    { kind: "gone", seatIds: [1] },
    { kind: "gone", seatIds: [1, 2] },
  ),
  "a change of what is over": [
    ...last([A_HELD, [of("release", "a"), 1010, 1020, refused("expired")]], done),
    ...last([A_HELD, [of("extend", "a"), 1010, 1020, refused("expired")]], until(2015)),
    ...last(
      [A_HELD, [of("release", "a"), 20, 30, done], [of("confirm", "a"), 40, 50, refused("released")]],
      done,
    ),
    ...last(
      [A_HELD, [of("release", "a"), 20, 30, done], [of("release", "a"), 40, 50, refused("released")]],
      done,
    ),
    ...last([A_WON, A_CANCELLED, [of("cancel", "a"), 40, 50, refused("cancelled")]], done),
  ],
  "a change refused for what did not happen": [
    ...last(
      [A_HELD, [of("confirm", "a"), 20, 30, done]],
      refused("released"),
      refused("expired"),
      refused("confirmed"),
    ),
    ...last([A_HELD, [of("extend", "a"), 20, 30, until(1025)]], refused("held"), { kind: "running" }),
    ...last([A_WON, [of("cancel", "a"), 20, 30, done]], refused("confirmed"), refused("held"), {
      kind: "running",
    }),
    ...last([A_HELD, [of("confirm", "a"), 1010, 1020, done]], { kind: "gone", seatIds: [1] }),
  ],
  "one request in doubt that was done twice": [
    ...last([A_HELD, [of("extend", "a"), 20, 30, unknown], [look(1), 40, 50, is("held", 2)]], is("held", 3)),
    ...last(
      [
        [reserve(1), 0, Number.POSITIVE_INFINITY, unknown],
        [look(1), 20, 30, is("reserved", 1)],
        [hold([1]), 40, 50, taken(1, "reserved")],
        [look(1), 60, 70, is("reserved", 1)],
      ],
      is("reserved", 2),
      is("reserved", 3),
    ),
  ],
  "a change that nobody asked for": [
    ...last([A_HELD, [look(1), 20, 30, is("held", 1)]], is("available", 2), is("reserved", 2)),
    ...last([[look(1), 20, 30, is("available", 0)]], is("reserved", 1), is("available", 1)),
    ...last(
      [A_HELD, [show("a"), 20, 30, { kind: "reservation", status: "held" }]],
      { kind: "reservation", status: "confirmed" },
      { kind: "reservation", status: "expired" },
      { kind: "reservation", status: "released" },
    ),
  ],
};

export const historyOf = (told: Told[]): History => ({
  holdTtlMs: HOLD_TTL_MS,
  settledAtMs: SETTLED_AT_MS,
  operations: told.map(([asked, calledAtMs, returnedAtMs, answer], id): Operation => {
    const isAnswered = answer.kind !== "unknown";
    return {
      id,
      asked,
      answer,
      calledAtMs,
      returnedAtMs: isAnswered ? returnedAtMs : Number.POSITIVE_INFINITY,
    };
  }),
});
