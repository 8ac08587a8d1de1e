import { client } from "./hey-api/client.gen.ts";
import { confirmReservation, holdSeats } from "./hey-api/sdk.gen.ts";
import type { Sale } from "./sale.ts";

/** Holds the seats and confirms the hold, with the client that @hey-api/openapi-ts generates. */
export async function buy(baseUrl: string, seatIds: number[]): Promise<Sale> {
  client.setConfig({ baseUrl });
  const hold = await holdSeats({
    headers: { "Idempotency-Key": crypto.randomUUID() },
    body: { seatIds },
  });
  if (hold.error) {
    const problem = hold.error;
    switch (problem.type) {
      case "urn:sentinel:problem:seats-taken":
        return {
          sold: false,
          why: problem.seats.map(({ seatId, reason }) => `${seatId} is ${reason}`),
          alternatives: problem.alternatives,
        };
      case "urn:sentinel:problem:no-seats-left":
        return { sold: false, why: [problem.earliestHoldEndsAt ?? problem.title] };
      case "urn:sentinel:problem:invalid-request":
        return { sold: false, why: problem.errors.map(({ pointer, detail }) => `${pointer} ${detail}`) };
      case "urn:sentinel:problem:not-on-sale":
        return { sold: false, why: [problem.reason, problem.onSaleAt ?? problem.offSaleAt ?? problem.title] };
      case "urn:sentinel:problem:unavailable":
        return { sold: false, why: [problem.reason ?? problem.title] };
      default:
        return { sold: false, why: [problem.detail] };
    }
  }
  const { reservationId, token } = hold.data;
  const confirmation = await confirmReservation({
    path: { reservationId },
    headers: { "X-Reservation-Token": token },
  });
  if (confirmation.error) {
    const problem = confirmation.error;
    switch (problem.type) {
      case "urn:sentinel:problem:reservation-expired":
        return { sold: false, why: (problem.gone ?? []).map((seatId) => `${seatId} is another buyer's`) };
      default:
        return { sold: false, why: [problem.detail] };
    }
  }
  const { status, seats, total } = confirmation.data;
  return { sold: status === "CONFIRMED", seatIds: seats.map(({ seatId }) => seatId), total };
}
