import { crowdSequence } from "./crowd.ts";
import type { RequestPlan } from "./task.ts";

export interface Request {
  text: string;
  /** The seat whose sale the response decides; 0 if it is none or several. */
  seatId: number;
}

export interface Requests {
  /** Returns the next request; undefined if there are no more. */
  next(): Request | undefined;
  /** For plans that depend on the responses. */
  answered?(status: number, body: Buffer): void;
  /** Returns the next request that cleans up a hold of this load; undefined if there is none. */
  rest?(): Request | undefined;
}

interface Hold {
  reservationId: string;
  token: string;
}

const RESERVATIONS = "/api/v1/reservations";

/** Returns the requests of a plan, as text that is ready to be sent. */
export function requestsOf(plan: RequestPlan, host: string): Requests {
  const post = (path: string, body: string, more = "") =>
    `POST ${path} HTTP/1.1\r\nHost: ${host}\r\n${body && "Content-Type: application/json\r\n"}${more}Content-Length: ${body.length}\r\n\r\n${body}`;
  const reserve = (seatId: number): Request => ({
    text: post(`/api/v1/bookings/reserve/${seatId}`, ""),
    seatId,
  });
  const hold = (wish: object): Request => ({ text: post(RESERVATIONS, JSON.stringify(wish)), seatId: 0 });
  const act = ({ reservationId, token }: Hold, kind: "confirm" | "release"): Request => {
    const path = `${RESERVATIONS}/${reservationId}`;
    const owner = `X-Reservation-Token: ${token}\r\n`;
    return {
      text:
        kind === "confirm"
          ? post(`${path}/confirm`, "", owner)
          : `DELETE ${path} HTTP/1.1\r\nHost: ${host}\r\n${owner}\r\n`,
      seatId: 0,
    };
  };

  const seatId = "lastSeatId" in plan ? walk(plan.firstSeatId, plan.lastSeatId) : () => 0;

  switch (plan.kind) {
    case "reserve":
      return { next: () => reserve(seatId()) };
    case "hold":
      return { next: () => hold({ seatIds: [seatId()] }) };
    case "basket":
      return { next: () => hold({ seatIds: [seatId(), seatId(), seatId(), seatId()] }) };
    case "confirm":
      return holdsThen("confirm", seatId, hold, act);
    case "cycle":
      return holdsThen("release", seatId, hold, act);
    case "sale": {
      const sequence = crowdSequence(plan.firstSeatId, plan.seatCount, plan.requestCount);
      let index = 0;
      return {
        next: () => {
          const seatId = sequence[index++];
          return seatId === undefined ? undefined : reserve(seatId);
        },
      };
    }
    case "best": {
      let sent = 0;
      return {
        next: () => {
          const block = plan.firstBlock + Math.floor(sent++ / plan.requestsPerBlock);
          return hold({
            eventId: plan.eventId,
            bestAvailable: { quantity: 4, sections: [`Block ${block}`] },
          });
        },
      };
    }
    case "general":
      return { next: () => hold({ eventId: plan.eventId, section: "Floor", quantity: 1 }) };
    case "map": {
      const text = `GET /api/v1/events/${plan.eventId}/map HTTP/1.1\r\nHost: ${host}\r\nAccept: application/octet-stream\r\n\r\n`;
      return { next: () => ({ text, seatId: 0 }) };
    }
    default:
      return plan satisfies never;
  }
}

/** Goes from the first to the last, then starts again. */
function walk(firstSeatId: number, lastSeatId: number): () => number {
  let next = firstSeatId;
  return () => {
    const seatId = next;
    next = seatId >= lastSeatId ? firstSeatId : seatId + 1;
    return seatId;
  };
}

/** Holds single seats, and confirms or releases each hold before it makes another. */
function holdsThen(
  kind: "confirm" | "release",
  seatId: () => number,
  hold: (wish: object) => Request,
  act: (hold: Hold, kind: "confirm" | "release") => Request,
): Requests {
  const waiting: Hold[] = [];
  return {
    next: () => {
      // The oldest first, so that none is still held when the walk returns to it.
      const held = waiting.shift();
      return held ? act(held, kind) : hold({ seatIds: [seatId()] });
    },
    rest: () => {
      const held = waiting.shift();
      return held && act(held, kind);
    },
    answered: (status, body) => {
      if (status !== 201) return;
      const { reservationId, token } = JSON.parse(body.toString()) as Hold;
      waiting.push({ reservationId, token });
    },
  };
}
