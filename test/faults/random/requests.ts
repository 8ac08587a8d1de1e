import type { Answer, Asked, ReservationStatus } from "../../spec/history.ts";

interface Told {
  reservationId: string;
  version: number;
  reason: "reserved" | "held" | "contended";
  status: string;
  type: string;
  expiresAt: string;
  seats: { seatId: number; reason: "reserved" | "held" | "contended" }[];
  gone?: number[];
}

/** What the problems of a change say of the reservation. */
const STATUS_OF: Record<string, ReservationStatus> = {
  "already-confirmed": "confirmed",
  "already-released": "released",
  "already-cancelled": "cancelled",
  "not-cancellable": "confirmed",
  "not-confirmed": "held",
  "extension-limit-reached": "held",
  "reservation-expired": "expired",
};

/**
 * Asks an engine on a connection of its own, once: a connection that is used again may have the client send
 * the request a second time.
 * @returns `unknown` where no answer came, or not within the client's patience.
 * @throws for an answer that the contract does not know.
 */
export async function ask(
  url: string,
  headers: Record<string, string>,
  asked: Asked,
  patienceMs: number,
): Promise<Answer> {
  const { method, path, body } = requestOf(asked);
  const key = "key" in asked && asked.key !== null ? { "idempotency-key": asked.key } : {};
  let status: number;
  let text: string;
  let isReplay: boolean;
  try {
    const response = await fetch(url + path, {
      ...{ method, keepalive: false, signal: AbortSignal.timeout(patienceMs) },
      headers: { ...headers, ...key, ...(body && { "content-type": "application/json" }) },
      ...(body && { body: JSON.stringify(body) }),
    });
    status = response.status;
    isReplay = response.headers.get("idempotent-replayed") === "true";
    text = await response.text();
    // A connection that was cut in mid answer.
    const length = response.headers.get("content-length");
    if (length !== null && Buffer.byteLength(text) !== Number(length)) return { kind: "unknown" };
  } catch {
    return { kind: "unknown" };
  }
  const answer = answerOf(asked, status, JSON.parse(text), isReplay);
  if (!answer) throw new Error(`${method} ${path} was answered ${status} ${text}`);
  return answer;
}

function requestOf(asked: Asked): { method: string; path: string; body?: object } {
  switch (asked.do) {
    case "reserve":
      return { method: "POST", path: `/api/v1/bookings/reserve/${asked.seatId}` };
    case "hold":
      return { method: "POST", path: "/api/v1/reservations", body: { seatIds: asked.seatIds } };
    case "look":
      return { method: "GET", path: `/api/v1/seats/${asked.seatId}` };
    case "show":
      return { method: "GET", path: `/api/v1/reservations/${asked.reservationId}` };
    case "release":
      return { method: "DELETE", path: `/api/v1/reservations/${asked.reservationId}` };
    case "confirm":
    case "extend":
    case "cancel":
      return { method: "POST", path: `/api/v1/reservations/${asked.reservationId}/${asked.do}` };
    default:
      return asked satisfies never;
  }
}

function answerOf(asked: Asked, httpStatus: number, told: Told, isReplay: boolean): Answer | undefined {
  const { reservationId, version, reason, seats, gone, type = "" } = told;
  const slug = type.replace("urn:sentinel:problem:", "");
  if (httpStatus === 503) return { kind: "busy" };
  if (httpStatus === 404) return { kind: "missing" };
  if (slug === "request-in-progress") return { kind: "running" };
  const expiresAtMs = Date.parse(told.expiresAt);
  switch (asked.do) {
    case "reserve":
      if (httpStatus === 201) return { kind: "won", reservationId, version };
      return httpStatus === 409 ? { kind: "taken", seats: [{ seatId: asked.seatId, reason }] } : undefined;
    case "hold":
      if (httpStatus === 201) return { kind: "held", reservationId, expiresAtMs, isReplay };
      return slug === "seats-taken" ? { kind: "taken", seats } : undefined;
    case "look":
      return httpStatus === 200 ? { kind: "seat", status: told.status as "held", version } : undefined;
    case "show":
      return httpStatus === 200
        ? { kind: "reservation", status: told.status.toLowerCase() as ReservationStatus }
        : undefined;
    default: {
      if (httpStatus === 200) return asked.do === "extend" ? { kind: "done", expiresAtMs } : { kind: "done" };
      if (gone) return { kind: "gone", seatIds: gone };
      const status = STATUS_OF[slug];
      return status && { kind: "refused", status };
    }
  }
}
