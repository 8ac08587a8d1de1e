import fc from "fast-check";
import type { OwnerAction } from "../../src/reservations/changes.ts";
import type { Key, Take, Terms } from "../spec/model.ts";

const MINUTE_MS = 60_000;

const terms = (cancellable: boolean, buyerLimit: number | null): Terms => ({
  ...{ cancellable, buyerLimit, status: "open", onSaleAt: null, offSaleAt: null },
});

/** One that is final, one with a buyer's limit, one with neither. */
export const EVENTS: [number, Terms][] = [
  [1, terms(false, null)],
  [2, terms(true, 3)],
  [3, terms(true, null)],
];
const SEATS_OF: [number, number[]][] = [
  [1, [1, 2]],
  [2, [3, 4, 5, 6]],
  [3, [7, 8, 9]],
];
const NO_SEAT = 99;
/** The event of each seat. */
export const SEATS = new Map(SEATS_OF.flatMap(([eventId, ids]) => ids.map((id) => [id, eventId] as const)));

/** A reservation is named by its place among those there are, the newest first; too high a place is one that is not there. */
interface ChangeAsked {
  do: OwnerAction;
  nth: number;
  key: string | null;
}

/** Asked of one of two processes that do not hear of each other. */
export type Request = { process: 0 | 1 } & Asked;
type Asked = Take | ChangeAsked | { do: "sweep" };

export type Step =
  | { do: "ask"; group: Request[] }
  | { do: "wait"; forMs: number }
  | {
      do: "sell";
      eventId: number;
      status: "open" | "closed";
      onSaleInMs: number | null;
      offSaleInMs: number | null;
    };

const key: fc.Arbitrary<Key | null> = fc.option(
  fc.record({ key: fc.constantFrom("k1", "k2"), fingerprint: fc.constantFrom("a", "a", "b") }),
  { freq: 2 },
);

const ofOneEvent = fc
  .constantFrom(...SEATS_OF, ...SEATS_OF.slice(1))
  .chain(([, ids]) => fc.shuffledSubarray(ids, { minLength: 1 }));
const withNoSeat = ofOneEvent.chain((ids) =>
  fc.shuffledSubarray([...ids, NO_SEAT], { minLength: ids.length + 1 }),
);
const ofAny = fc.shuffledSubarray([...SEATS.keys(), NO_SEAT], { minLength: 1, maxLength: 4 });

const holdWith = (claim: fc.Arbitrary<Key | null>): fc.Arbitrary<Take> =>
  fc.record({
    do: fc.constant("hold" as const),
    seatIds: fc.oneof(
      { weight: 16, arbitrary: ofOneEvent },
      { weight: 1, arbitrary: withNoSeat },
      { weight: 1, arbitrary: ofAny },
    ),
    buyerId: fc.constantFrom("ann", "ann", "bob", null),
    key: claim,
  });
const hold = holdWith(key);
const reserve: fc.Arbitrary<Take> = fc.record({
  do: fc.constant("reserve" as const),
  seatId: fc.constantFrom(...SEATS.keys(), 7, 8, 9, NO_SEAT),
});
const change: fc.Arbitrary<ChangeAsked> = fc.record({
  do: fc.constantFrom("confirm", "confirm", "confirm", "release", "extend", "cancel", "cancel"),
  nth: fc.oneof({ weight: 3, arbitrary: fc.nat(2) }, { weight: 1, arbitrary: fc.nat(6) }),
  key: fc.option(fc.constantFrom("k1", "k2"), { freq: 2 }),
});

/** Of one of the two processes. */
const asked = (what: fc.Arbitrary<Asked>): fc.Arbitrary<Request> =>
  fc.tuple(fc.constantFrom<0 | 1>(0, 1), what).map(([process, request]) => ({ process, ...request }));

const request = asked(
  fc.oneof(
    { weight: 6, arbitrary: hold },
    { weight: 2, arbitrary: reserve },
    { weight: 8, arbitrary: change },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("sweep" as const) }) },
  ),
);

/**
 * Whole minutes and two seconds: so that the ends of holds, which are minutes too, are never met to the
 * second, and what is over is past the sweeper's jitter of a second.
 */
export const passed = (minutes: number) => minutes * MINUTE_MS + 2000;
const TTL_PASSED_MS = passed(10);
const DAY_PASSED_MS = passed(24 * 60);
const wait: fc.Arbitrary<Step> = fc.record({
  do: fc.constant("wait" as const),
  forMs: fc.constantFrom(...[1, 4, 9, 10, 10, 31].map(passed), DAY_PASSED_MS),
});

/** A second past whole minutes, likewise. */
const momentInMs = fc.option(
  fc.constantFrom(-5, 3, 12).map((minutes) => minutes * MINUTE_MS + 1000),
  { freq: 1 },
);
const sell: fc.Arbitrary<Step> = fc.record({
  do: fc.constant("sell" as const),
  eventId: fc.constantFrom(...EVENTS.map(([id]) => id)),
  status: fc.constantFrom("open", "open", "open", "closed"),
  onSaleInMs: momentInMs,
  offSaleInMs: momentInMs,
});

const waitFor = (forMs: number): fc.Arbitrary<Step> => fc.constant({ do: "wait", forMs });
const askJust = (...requests: fc.Arbitrary<Asked>[]): fc.Arbitrary<Step> =>
  fc.tuple(...requests.map(asked)).map((group) => ({ do: "ask", group }));
const changeOf = (action: OwnerAction, ...nth: number[]): fc.Arbitrary<ChangeAsked> =>
  fc.record({
    do: fc.constant(action),
    nth: fc.constantFrom(...nth),
    key: fc.constantFrom(null, null, "k1"),
  });
const limited = (buyers: string[], seatIds: number[], minLength = 1): fc.Arbitrary<Take> =>
  fc.record({
    do: fc.constant("hold" as const),
    seatIds: fc.shuffledSubarray(seatIds, { minLength }),
    buyerId: fc.constantFrom(...buyers),
    key: fc.constant(null),
  });

/** A hold confirmed after its end, when its seats or its buyer's limit may have gone to another. */
const aLateConfirmation = fc.tuple(
  askJust(limited(["ann", "bob"], [3, 4, 5, 6])),
  waitFor(TTL_PASSED_MS),
  askJust(limited(["ann", "bob"], [3, 4, 5, 6])),
  askJust(changeOf("confirm", 0, 1)),
  askJust(changeOf("confirm", 0, 1)),
);
/** Two such at the same moment, of one buyer, whose limit allows one. */
const twoLateConfirmations = fc.tuple(
  askJust(limited(["ann"], [3, 4], 2)),
  waitFor(TTL_PASSED_MS),
  askJust(limited(["ann"], [5, 6], 2)),
  waitFor(TTL_PASSED_MS),
  askJust(changeOf("confirm", 0), changeOf("confirm", 1)),
);
const twoHoldsOfOneBuyer = fc.tuple(askJust(limited(["ann"], [3, 4], 2), limited(["ann"], [5, 6], 2)));
const anExtensionTooFar = fc.tuple(
  askJust(hold),
  ...[9, 9, 9, 1].flatMap((minutes) => [waitFor(passed(minutes)), askJust(changeOf("extend", 0))]),
);
const keyed = askJust(holdWith(fc.constant({ key: "k1", fingerprint: "a" })));
const aKeyGrownOld = fc.tuple(keyed, waitFor(DAY_PASSED_MS), keyed, keyed);

/** What happens, one after another, with at most that many requests at the same moment. */
export function stepsOf(together: number, maxLength: number): fc.Arbitrary<Step[]> {
  const askAny: fc.Arbitrary<Step> = fc.record({
    do: fc.constant("ask" as const),
    group: fc.array(request, { minLength: Math.min(2, together), maxLength: together }),
  });
  const oneStep = fc.oneof(
    { weight: 15, arbitrary: askAny },
    { weight: 4, arbitrary: wait },
    { weight: 1, arbitrary: sell },
  );
  // Chance alone comes to these too rarely.
  const scenes: fc.Arbitrary<Step[]>[] = [aLateConfirmation, anExtensionTooFar, aKeyGrownOld];
  if (together > 1) scenes.push(twoLateConfirmations, twoHoldsOfOneBuyer);
  return fc
    .array(
      fc.oneof(
        { weight: 40, arbitrary: oneStep.map((step) => [step]) },
        ...scenes.map((arbitrary) => ({ weight: 1, arbitrary })),
      ),
      { minLength: 10, maxLength, size: "max" },
    )
    .map((parts) => parts.flat());
}
