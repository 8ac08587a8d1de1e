import { connect, type Socket } from "node:net";

const ANSWER_TIMEOUT_MS = 30_000;
/** Between two requests of one buyer. Without it a load takes all of the machine while a test waits for something else. */
export const THINK_MS = 4;

export interface Answer {
  seatId: number;
  /** 0: the connection broke before an answer came. */
  status: number;
  body: string;
  headers: Headers;
}

/** The fields of the reserve route's bodies that tests look at. */
export interface ReserveBody {
  message: string;
  seatId: number;
  status: string;
  reservationId?: string;
  version?: number;
  reason?: string;
}

export const reservePath = (seatId: number | string) => `/api/v1/bookings/reserve/${seatId}`;

export const bodyOf = (answer: Answer): ReserveBody => JSON.parse(answer.body);

/** One buyer asks for one seat. */
export async function reserve(url: string, seatId: number, init: RequestInit = {}): Promise<Answer> {
  try {
    const response = await fetch(url + reservePath(seatId), {
      method: "POST",
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      ...init,
    });
    return { seatId, status: response.status, body: await response.text(), headers: response.headers };
  } catch (error) {
    if (error instanceof Error && error.name === "TimeoutError") throw error;
    return { seatId, status: 0, body: "", headers: new Headers() };
  }
}

/** How often each status was answered. */
export function histogram(answers: Iterable<Answer>): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

export interface Crowd {
  /** Resolves when every request has left this process. */
  sent: Promise<void>;
  answers: Promise<Answer[]>;
}

/**
 * A connection a request, all open before the first request is written: a race that neither a client's
 * connection limit nor the time to connect can soften.
 */
export async function reserveAtOnce(requests: { url: string; seatId: number }[]): Promise<Crowd> {
  const buyers = await Promise.all(
    requests.map(async ({ url, seatId }) => {
      const { port, hostname, host } = new URL(url);
      const socket = connect(Number(port), hostname).setNoDelay(true);
      await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
      return { socket, host, seatId, answer: answerFrom(socket, seatId) };
    }),
  );
  const sent = buyers.map(
    ({ socket, host, seatId }) =>
      new Promise<void>((resolve) => {
        socket.write(
          `POST ${reservePath(seatId)} HTTP/1.1\r\nhost: ${host}\r\ncontent-length: 0\r\n\r\n`,
          () => resolve(),
        );
      }),
  );
  return {
    sent: Promise.all(sent).then(() => undefined),
    answers: Promise.all(buyers.map(({ answer }) => answer)),
  };
}

function answerFrom(socket: Socket, seatId: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let text = "";
    const end = (answer: Answer) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no answer for seat ${seatId} within ${ANSWER_TIMEOUT_MS} ms`));
    }, ANSWER_TIMEOUT_MS);
    socket.on("data", (bytes) => {
      text += bytes.toString();
      const headEnd = text.indexOf("\r\n\r\n");
      if (headEnd < 0) return;
      const [statusLine = "", ...lines] = text.slice(0, headEnd).split("\r\n");
      const headers = new Headers(
        lines.map((line): [string, string] => {
          const colon = line.indexOf(":");
          return [line.slice(0, colon), line.slice(colon + 1).trim()];
        }),
      );
      const body = text.slice(headEnd + 4);
      if (body.length < Number(headers.get("content-length") ?? 0)) return;
      end({ seatId, status: Number(statusLine.split(" ")[1]), body, headers });
    });
    const broken = () => end({ seatId, status: 0, body: "", headers: new Headers() });
    socket.on("error", broken).on("close", broken);
  });
}

export interface Sale {
  /** Every answer so far, in the order in which they came. */
  answers: Answer[];
  won(): number;
  /** No buyer asks for another seat; resolves when all have their answer. */
  stop(): Promise<Answer[]>;
  /** Resolves when every seat was asked for. */
  end(): Promise<Answer[]>;
}

/**
 * `buyerCount` buyers, each asking for the next seat soon after its answer; no seat is asked for twice.
 * @param busyPauseMs how long a buyer who was told 503 waits.
 */
export function openSale(url: string, seatIds: Iterable<number>, buyerCount: number, busyPauseMs = 0): Sale {
  const answers: Answer[] = [];
  const rest = seatIds[Symbol.iterator]();
  let stopped = false;
  let won = 0;
  const buyer = async () => {
    while (!stopped) {
      const next = rest.next();
      if (next.done) return;
      const answer = await reserve(url, next.value);
      answers.push(answer);
      if (answer.status === 201) won++;
      await Bun.sleep(answer.status === 503 ? Math.max(busyPauseMs, THINK_MS) : THINK_MS);
      // Nobody answers any more: without this the whole house would be asked for in vain at once.
      if (answer.status === 0) return;
    }
  };
  const ended = Promise.all(Array.from({ length: buyerCount }, buyer)).then(() => answers);
  // Looked at only when the test asks for it, which a failing test never does.
  ended.catch(() => undefined);
  return {
    answers,
    won: () => won,
    stop: () => {
      stopped = true;
      return ended;
    },
    end: () => ended,
  };
}

/** Seat ids `from`, `from + 1`, ... up to `to`. */
export function* seatsFrom(from: number, to: number): Generator<number> {
  for (let seatId = from; seatId <= to; seatId++) yield seatId;
}
