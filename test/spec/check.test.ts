import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { check, shortestRefused } from "./check.ts";
import type { Answer, History, Operation } from "./history.ts";
import { historyOf, PLANTED } from "./planted.ts";
import { HOLD_TTL_MS, SEATS, soundHistories } from "./simulate.ts";

const RUNS = { numRuns: 300 };

describe("a history in which all went right", () => {
  test("is linearizable where every answer came", () => {
    fc.assert(
      fc.property(soundHistories("surely"), (history) => {
        expect(check(history)).toEqual({ kind: "linearizable" });
      }),
      RUNS,
    );
  });

  test("is linearizable where answers were lost, and requests too", () => {
    fc.assert(
      fc.property(soundHistories("doubtfully"), (history) => {
        expect(check(history).kind).not.toBe("refused");
      }),
      RUNS,
    );
  });
});

describe("a history with one fault is refused, and was not without:", () => {
  const planted = Object.entries(PLANTED).flatMap(([name, each]) =>
    each.map(({ sound, faulty }, index) => ({ name: `${name} (${index + 1})`, sound, faulty })),
  );

  test.each(planted)("$name", ({ sound, faulty }) => {
    expect(check(historyOf(sound))).toEqual({ kind: "linearizable" });
    expect(check(historyOf(faulty)).kind).toBe("refused");
  });
});

describe("a change that was done again because the engine had lost its database's answer", () => {
  const extended = (key: string | null) =>
    historyOf([
      [
        { do: "hold", seatIds: [1], key: null },
        0,
        10,
        { kind: "held", reservationId: "a", expiresAtMs: 1005, isReplay: false },
      ],
      [{ do: "extend", reservationId: "a", key }, 20, 30, { kind: "done", expiresAtMs: 1025 }],
      [{ do: "look", seatId: 1 }, 40, 50, { kind: "seat", status: "held", version: 4 }],
    ]);
  const confirmed = (key: string | null) =>
    historyOf([
      [{ do: "reserve", seatId: 1 }, 0, 10, { kind: "won", reservationId: "a", version: 1 }],
      [{ do: "confirm", reservationId: "a", key }, 20, 30, { kind: "done" }],
    ]);

  test.each([extended, confirmed])("is refused, with a key and without one (%#)", (historyWith) => {
    expect(check(historyWith(null)).kind).toBe("refused");
    expect(check(historyWith("k")).kind).toBe("refused");
  });
});

describe("any history that is sound, with one answer made another, is refused:", () => {
  type Change = (operation: Operation) => Operation["answer"] | undefined;
  const changes: Record<string, Change> = {
    "a later version": ({ answer }) =>
      answer.kind === "won" ? { ...answer, version: answer.version + 1 } : undefined,
    "an earlier version": ({ answer }) =>
      answer.kind === "won" ? { ...answer, version: answer.version - 1 } : undefined,
    // Those who are told of a reservation must be: others ask for it.
    "nothing there": ({ answer }) =>
      answer.kind === "won" || answer.kind === "held" ? undefined : { kind: "missing" },
    "another status at the end": ({ asked, answer }) =>
      asked.do === "look" && answer.kind === "seat"
        ? { ...answer, status: answer.status === "available" ? "held" : "available" }
        : undefined,
    "a change more at the end": ({ answer }) =>
      answer.kind === "seat" ? { ...answer, version: answer.version + 1 } : undefined,
    "a change fewer at the end": ({ answer }) =>
      answer.kind === "seat" ? { ...answer, version: answer.version - 1 } : undefined,
  };

  test.each(Object.entries(changes))("%s", (name, change) => {
    fc.assert(
      fc.property(soundHistories("surely"), fc.nat(), (history, which) => {
        const isAtEnd = name.endsWith("at the end");
        const candidates = (isAtEnd ? history.operations.slice(-SEATS.length) : history.operations).filter(
          (operation) => change(operation),
        );
        const chosen = candidates[which % candidates.length];
        const answer = chosen && change(chosen);
        // Whether a hold that is over was swept before others took the seat is for nobody to see.
        const isOver = history.operations.some(({ calledAtMs }) => calledAtMs >= HOLD_TTL_MS);
        fc.pre(answer !== undefined && !isOver);
        const faulty = history.operations.map((operation) =>
          operation === chosen && answer ? { ...operation, answer } : operation,
        );
        expect(check({ ...history, operations: faulty }).kind).toBe("refused");
      }),
      RUNS,
    );
  });

  test("a winner twice", () => {
    fc.assert(
      fc.property(soundHistories("surely"), fc.nat(), (history, which) => {
        const winners = history.operations.filter(({ answer }) => answer.kind === "won");
        const chosen = winners[which % winners.length];
        fc.pre(chosen?.answer.kind === "won");
        const { version } = chosen?.answer.kind === "won" ? chosen.answer : { version: 0 };
        const again: Operation = {
          ...(chosen as Operation),
          id: history.operations.length,
          answer: { kind: "won", reservationId: "another", version },
        };
        expect(check({ ...history, operations: [...history.operations, again] }).kind).toBe("refused");
      }),
      RUNS,
    );
  });
});

test("contended without anybody who decides is refused, but for as long as a lock may be left behind", () => {
  const free = { kind: "seat", status: "available", version: 0 } as const;
  const contended: Answer = { kind: "taken", seats: [{ seatId: 1, reason: "contended" }] };
  const refusedAt = (startMs: number) =>
    historyOf([
      [
        { do: "hold", seatIds: [1, 2], key: null },
        0,
        10,
        { kind: "taken", seats: [{ seatId: 2, reason: "contended" }] },
      ],
      [{ do: "reserve", seatId: 2 }, 0, 10, { kind: "won", reservationId: "a", version: 1 }],
      [{ do: "reserve", seatId: 1 }, startMs, startMs + 10, contended],
      [{ do: "look", seatId: 1 }, 2000, 2010, free],
    ]);
  expect(check(refusedAt(300)).kind).toBe("refused");
  expect(check({ ...refusedAt(300), ghostLockMs: 500 }).kind).toBe("linearizable");
  expect(check({ ...refusedAt(600), ghostLockMs: 500 }).kind).toBe("refused");
});

test("of a refused history it tells the beginning that is wrong by itself, of the seats it is about", () => {
  const [{ faulty } = { faulty: [] }] = PLANTED["a second winner"] ?? [];
  const beginning = historyOf(faulty);
  const more: History = {
    ...beginning,
    operations: [
      ...beginning.operations,
      ...historyOf([
        [{ do: "look", seatId: 1 }, 50, 60, { kind: "seat", status: "reserved", version: 1 }],
        [{ do: "look", seatId: 7 }, 0, 5, { kind: "seat", status: "available", version: 0 }],
      ]).operations,
    ],
  };
  expect(shortestRefused(more)).toEqual(beginning);
});
