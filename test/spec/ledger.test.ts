import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { check } from "./check.ts";
import { madeBy } from "./history.ts";
import type { LedgerRow } from "./house.ts";
import { historyOf, PLANTED } from "./planted.ts";
import { type Sound, soundRuns } from "./simulate.ts";

const RUNS = { numRuns: 300 };

describe("a history and the ledger of its seats", () => {
  test.each(["surely", "doubtfully"] as const)(
    "agree where all went right, and clients heard of it %s",
    (how) => {
      fc.assert(
        fc.property(soundRuns(how), ({ history, rows }) => {
          expect(check(history, rows).kind).toBe("linearizable");
        }),
        RUNS,
      );
    },
  );

  type Fault = (row: LedgerRow, sound: Sound) => LedgerRow[] | undefined;
  const faults: Record<string, Fault> = {
    "a row is missing": () => [],
    "a row is there twice, as two changes": (row) => [row, { ...row, version: row.version + 1 }],
    "a row says another change": (row) => [
      { ...row, status: row.status === "RESERVED" ? "HELD" : "RESERVED" },
    ],
    "the row that made a reservation is of another than its buyer was told": (row, { history, rows }) => {
      if (rows.find(({ reservationId }) => reservationId === row.reservationId) !== row) return undefined;
      const isTold = history.operations.some((operation) => madeBy(operation) === row.reservationId);
      return isTold ? [{ ...row, reservationId: "nobody's" }] : undefined;
    },
    "a row is of another reservation": (row, { rows }) => {
      const other = rows.find(({ reservationId }) => reservationId !== row.reservationId);
      return other && [{ ...row, reservationId: other.reservationId }];
    },
    "a row has another version": (row) => [{ ...row, version: row.version + 1 }],
  };

  // Every answer came: what is in doubt may explain one row more, or another one.
  test.each(Object.entries(faults))("do not when %s", (_name, fault) => {
    fc.assert(
      fc.property(soundRuns("surely"), fc.nat(), (sound, which) => {
        const row = sound.rows[which % sound.rows.length];
        const instead = row && fault(row, sound);
        fc.pre(instead !== undefined);
        const rows = sound.rows.flatMap((each) => (each === row && instead ? instead : [each]));
        expect(check(sound.history, rows).kind).toBe("refused");
      }),
      RUNS,
    );
  });

  const reserved = { kind: "won", reservationId: "a", version: 1 } as const;
  const RESERVED: LedgerRow = { seatId: 1, version: 1, status: "RESERVED", reservationId: "a" };

  test("do not when a buyer was told of what nobody wrote, or nobody was told of what was written", () => {
    const bought = historyOf([[{ do: "reserve", seatId: 1 }, 0, 10, reserved]]);
    expect(check(bought, [RESERVED]).kind).toBe("linearizable");
    expect(check(bought, []).kind).toBe("refused");
    const asked = historyOf([
      [{ do: "look", seatId: 1 }, 0, 10, { kind: "seat", status: "available", version: 0 }],
    ]);
    expect(check(asked, []).kind).toBe("linearizable");
    expect(check(asked, [RESERVED]).kind).toBe("refused");
  });

  test("do not when what was in doubt was written twice", () => {
    const twice = historyOf([
      [{ do: "reserve", seatId: 1 }, 0, 10, { kind: "unknown" }],
      [{ do: "reserve", seatId: 1 }, 20, 30, { kind: "taken", seats: [{ seatId: 1, reason: "reserved" }] }],
    ]);
    expect(check(twice, [RESERVED]).kind).toBe("linearizable");
    expect(check(twice, [RESERVED, { ...RESERVED, version: 2, reservationId: "b" }]).kind).toBe("refused");
  });

  test("do not when a seat stays with a buyer who was told 503", () => {
    const busy = historyOf([
      [{ do: "reserve", seatId: 1 }, 0, 10, { kind: "busy" }],
      [{ do: "look", seatId: 1 }, 20, 30, { kind: "seat", status: "available", version: 2 }],
    ]);
    const CANCELLED: LedgerRow = { ...RESERVED, version: 2, status: "CANCELLED" };
    expect(check(busy, [RESERVED, CANCELLED]).kind).toBe("linearizable");
    expect(check(busy, [RESERVED]).kind).toBe("refused");
  });

  test("are looked at for each fault that the clients' answers alone show too", () => {
    for (const { faulty } of Object.values(PLANTED).flat()) {
      expect(check(historyOf(faulty), []).kind).toBe("refused");
    }
  });
});
