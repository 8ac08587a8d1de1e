import { expect, test } from "bun:test";
import { ReservationMetrics } from "../../src/reservations/reservation-metrics.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { answerOf, heldSeat, lost, seat, won } from "./worker.ts";

function openMetrics() {
  const metrics = createMetrics();
  const reservationMetrics = new ReservationMetrics(metrics);
  /** The series whose name and labels begin so, with their values. */
  const read = async (series: string) => {
    reservationMetrics.fold();
    const lines = (await metrics.registry.metrics()).split("\n");
    return lines.filter((line) => line.startsWith(series)).map((line) => line.split(" ").at(-1));
  };
  return { reservationMetrics, read };
}

const seatId = seat(1);

test("a request that nobody may have is counted by its reason, and as the 403 that its client saw", async () => {
  const { reservationMetrics, read } = openMetrics();
  reservationMetrics.answered({ kind: "closed", seatId, why: "not_on_sale" });
  reservationMetrics.answered({ kind: "closed", seatId, why: "buyer_needed" });
  expect(await read('sentinel_reservations_total{outcome="not_on_sale"}')).toEqual(["1"]);
  expect(await read('sentinel_reservations_total{outcome="buyer_needed"}')).toEqual(["1"]);
  expect(
    await read(
      'sentinel_http_requests_total{route="/api/v1/bookings/reserve/:seatId",method="POST",status="403"}',
    ),
  ).toEqual(["2"]);
});

test("a batch is counted by its seats, its requests by their results, whatever their number of seats", async () => {
  const { reservationMetrics, read } = openMetrics();
  reservationMetrics.decided({
    answer: { ...answerOf([]), orders: [[heldSeat(), heldSeat()], [won()], [lost("held")]] },
    requests: (["won", "won", "taken"] as const).map((result) => ({ result, arrivedAt: 0 })),
    ...{ seatCount: 4, queuedMs: 0, sentAt: 0 },
  });
  expect(await read("sentinel_batch_seats_sum")).toEqual(["4"]);
  expect(await read("sentinel_batch_seats_count")).toEqual(["1"]);
  expect(await read('sentinel_reservation_duration_seconds_count{outcome="won"}')).toEqual(["2"]);
});

test("a batch of changes is counted apart from those of seats", async () => {
  const { reservationMetrics, read } = openMetrics();
  reservationMetrics.changed(3, 2);
  expect(await read("sentinel_change_batch_reservations_sum")).toEqual(["3"]);
  expect(await read('sentinel_reservation_stage_duration_seconds_count{stage="change"}')).toEqual(["1"]);
  expect(await read("sentinel_batch_seats_count")).toEqual(["0"]);
});
