import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parsePosition, positionText } from "../../src/live/position.ts";
import { bytesAfter, RecentChanges, type Round, roundOf } from "../../src/live/recent-changes.ts";
import { comparePositions, type LedgerPosition } from "../../src/postgres/ledger.ts";

const at = (number: number): LedgerPosition => ({ epoch: 1, txid: String(number), id: String(number) });
const BEGIN = at(1);

/** Rows `from`..`to`, each of event 1 or 2 by turns. */
function rows(from: number, to: number): Round {
  const textByEvent = new Map<number, string>();
  for (let number = from; number <= to; number++) {
    const event = 1 + (number % 2);
    const text = `id: ${positionText(at(number))}\nevent: seat\ndata: {}\n\n`;
    textByEvent.set(event, (textByEvent.get(event) ?? "") + text);
  }
  return roundOf(at(from - 1), at(to), { rowCount: to - from + 1, textByEvent });
}

/** What a client of `event` that knows everything up to `position` is given. */
function given(recent: RecentChanges, event: number, position: LedgerPosition): number[] | "lost" {
  const numbers: number[] = [];
  for (let after = position; ; ) {
    const round = recent.next(after);
    if (round === "lost") return "lost";
    if (!round) return numbers;
    const text = new TextDecoder().decode(bytesAfter(round, event, after));
    numbers.push(...[...text.matchAll(/id: 1-(\d+)/g)].map(([, number]) => Number(number)));
    after = round.end;
  }
}

const oddsOrEvens = (event: number, from: number, to: number) =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index).filter(
    (number) => 1 + (number % 2) === event,
  );

describe("recent changes", () => {
  test("give each client everything after its place once, wherever rounds begin and end", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 12 }),
        fc.nat(2000),
        fc.constantFrom(1, 2),
        (sizes, offset, event) => {
          const recent = new RecentChanges(BEGIN);
          let end = 1;
          for (const size of sizes) {
            recent.append(rows(end + 1, end + size));
            end += size;
          }
          const position = 1 + (offset % end);
          expect(given(recent, event, at(position))).toEqual(oddsOrEvens(event, position + 1, end));
        },
      ),
    );
  });

  test("are as many rows as allowed, and say so when a place is older than they are", () => {
    const recent = new RecentChanges(BEGIN, 600);
    for (let end = 301; end <= 1501; end += 300) recent.append(rows(end - 299, end));
    expect([recent.start, recent.end]).toEqual([at(901), at(1501)]);
    expect(given(recent, 1, at(901))).toEqual(oddsOrEvens(1, 902, 1501));
    expect(given(recent, 1, at(900))).toBe("lost");
  });

  test("take in what lies before them, and join it without a gap", () => {
    const recent = new RecentChanges(at(500));
    recent.append(rows(501, 510));
    expect(given(recent, 2, at(400))).toBe("lost");
    recent.prepend(at(400), [rows(401, 450), rows(451, 500)]);
    expect(given(recent, 2, at(420))).toEqual(oddsOrEvens(2, 421, 510));
  });

  test("have nothing for a client that another process told more already, until they come to that", () => {
    const recent = new RecentChanges(BEGIN);
    recent.append(rows(2, 10));
    expect(given(recent, 1, at(20))).toEqual([]);
    const next = rows(11, 30);
    expect(new TextDecoder().decode(bytesAfter(next, 1, at(20)))).toStartWith("id: 1-22-22\n");
    expect(bytesAfter(next, 1, at(30))).toBeUndefined();
  });
});

describe("a place in the ledger", () => {
  test("is told as text and read again", () => {
    for (const text of ["1-0-0", "1-734-1002", "12-100000000000000000-999999999999999999"]) {
      const place = parsePosition(text);
      expect(place && positionText(place)).toBe(text);
    }
  });

  test("orders by number, not by letter", () => {
    const places = ["1-0-0", "1-9-50", "1-10-2", "1-10-10", "2-0-0", "10-1-1"].map(parsePosition);
    for (const [index, place] of places.entries()) {
      const next = places[index + 1];
      if (place && next) expect(comparePositions(place, next)).toBeLessThan(0);
      if (place && next) expect(comparePositions(next, place)).toBeGreaterThan(0);
      if (place) expect(comparePositions(place, { ...place })).toBe(0);
    }
  });

  test.each([
    "",
    "1-2",
    "1-2-3-4",
    "0-1-1",
    "1--1-1",
    "01-1-1",
    "1-1-1 ",
    "1-1-1000000000000000000",
    "a-b-c",
  ])("is not %p", (text) => expect(parsePosition(text)).toBeUndefined());
});
