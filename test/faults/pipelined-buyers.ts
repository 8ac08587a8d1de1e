import { connect } from "node:net";
import { reservePath } from "../engine/buyers.ts";

const ANSWERS_TIMEOUT_MS = 30_000;
const HEAD_END = "\r\n\r\n";

/**
 * One connection that sends a request for each seat at once, without waiting for an answer in between.
 * @returns the statuses in the order of the requests; 0 for each that was not answered before the connection ended.
 */
function sendPipelined(url: string, seatIds: number[]): Promise<number[]> {
  const { hostname, port, host } = new URL(url);
  const statuses: number[] = [];
  let text = "";
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname).setNoDelay(true);
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`${statuses.length} of ${seatIds.length} answers within ${ANSWERS_TIMEOUT_MS} ms`));
    }, ANSWERS_TIMEOUT_MS);
    const end = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(seatIds.map((_, index) => statuses[index] ?? 0));
    };
    socket.on("data", (bytes) => {
      text += bytes.toString();
      for (let answer = firstAnswer(text); answer; answer = firstAnswer(text)) {
        statuses.push(answer.status);
        text = text.slice(answer.length);
      }
      if (statuses.length === seatIds.length) end();
    });
    socket.on("error", end).on("close", end);
    const request = (seatId: number) =>
      `POST ${reservePath(seatId)} HTTP/1.1\r\nhost: ${host}\r\ncontent-length: 0${HEAD_END}`;
    socket.once("connect", () => socket.write(seatIds.map(request).join("")));
  });
}

/** The first whole answer of what was received. */
function firstAnswer(text: string): { status: number; length: number } | undefined {
  const headEnd = text.indexOf(HEAD_END);
  if (headEnd < 0) return undefined;
  const head = text.slice(0, headEnd);
  const [, bodyLength = "0"] = /\r\ncontent-length: *(\d+)/i.exec(head) ?? [];
  const length = headEnd + HEAD_END.length + Number(bodyLength);
  return text.length < length ? undefined : { status: Number(head.split(" ")[1]), length };
}

/** Connections one after the other from each of `shopCount` shops, each with `count` requests at once, until it is stopped. */
export function openPipelines(url: string, nextSeat: () => number, shopCount: number, count: number) {
  const statuses: number[] = [];
  let stopped = false;
  const shop = async () => {
    while (!stopped) statuses.push(...(await sendPipelined(url, Array.from({ length: count }, nextSeat))));
  };
  const ended = Promise.all(Array.from({ length: shopCount }, shop)).then(() => statuses);
  ended.catch(() => undefined);
  return {
    answered: () => statuses.length,
    stop: () => {
      stopped = true;
      return ended;
    },
  };
}
