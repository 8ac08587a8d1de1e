import { describe, expect, test } from "bun:test";
import { toEvent } from "../../src/ledger/sinks/sink.ts";
import type { LedgerRow } from "../../src/postgres/ledger.ts";

const ROW: LedgerRow = {
  epoch: 3,
  txid: "900",
  id: "17",
  seatId: "2",
  version: 5,
  eventId: "1",
  status: "RESERVED",
  reservationId: "019a9d0e-8a53-7000-a1b2-c3d4e5f60718",
  replacesReservationId: null,
  timestampMs: 1_763_800_000_123,
};

describe("an event on its way out", () => {
  test("has the seat's id as key, and the contract's value with ours behind it", () => {
    const { key, value } = toEvent(ROW);
    expect(key).toBe("2");
    expect(value).toBe(
      '{"seatId":2,"status":"RESERVED","timestamp":1763800000123,"version":5,"reservationId":"019a9d0e-8a53-7000-a1b2-c3d4e5f60718","eventId":1}',
    );
  });

  test("is a CloudEvent in binary mode, whose identity is seat and version in its epoch", () => {
    expect(toEvent(ROW).headers).toEqual({
      ce_specversion: "1.0",
      ce_id: "2:5",
      ce_source: "/sentinel/epochs/3",
      ce_type: "sentinel.seat.reserved",
    });
  });

  test("of a take-over names the reservation that it replaces", () => {
    const replaced = "019a9d0e-0000-7000-a1b2-c3d4e5f60718";
    const { value } = toEvent({ ...ROW, replacesReservationId: replaced });
    expect(JSON.parse(value)).toEqual({ ...JSON.parse(toEvent(ROW).value), replacesReservationId: replaced });
  });

  test("keeps every digit of the largest seat id", () => {
    const { key, value } = toEvent({ ...ROW, seatId: "9007199254740991" });
    expect(key).toBe("9007199254740991");
    expect(value).toStartWith('{"seatId":9007199254740991,');
  });

  test.each(["HELD", "EXTENDED", "RELEASED", "EXPIRED", "CANCELLED"])(
    "of status %s says so in value and type",
    (status) => {
      const {
        value,
        headers: { ce_type },
      } = toEvent({ ...ROW, status });
      expect([JSON.parse(value).status, ce_type]).toEqual([status, `sentinel.seat.${status.toLowerCase()}`]);
    },
  );
});
