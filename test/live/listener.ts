import { connect } from "node:net";
import { until } from "../fixtures/until.ts";

/** One server-sent event, with the id that the client had after it. */
export interface Heard {
  event: string;
  id: string;
  data: {
    seatId?: number;
    version?: number;
    status?: string;
    at?: string;
    eventId?: number;
    reason?: string;
  };
}

/** A client of the changes of an event, as `EventSource` is one. */
export interface Listener {
  status: number;
  headers: Headers;
  heard: Heard[];
  /** The last id; comments move it on as well. */
  lastId(): string;
  retryMs(): number | undefined;
  /** How many comments came. */
  comments(): number;
  /** Whether the server has ended the stream. */
  hasEnded(): boolean;
  /** The answer's body, where it is no stream. */
  problem(): Promise<{ type: string; detail: string }>;
  /** Waits for that many of one event. */
  hears(count: number, event?: string): Promise<Heard[]>;
  /** Goes away without a word. */
  cut(): Promise<void>;
}

export interface ListenOptions {
  eventId?: number | string;
  lastEventId?: string;
  /** The last id in the address, for clients that cannot set a header. */
  queryId?: string;
  headers?: Record<string, string>;
}

export async function listen(
  url: string,
  { eventId = 1, lastEventId, queryId, headers = {} }: ListenOptions = {},
): Promise<Listener> {
  const address = new URL(`/api/v1/events/${eventId}/changes`, url);
  if (queryId !== undefined) address.searchParams.set("lastEventId", queryId);
  const gone = new AbortController();
  const answer = await fetch(address, {
    signal: gone.signal,
    headers: { ...headers, ...(lastEventId !== undefined && { "last-event-id": lastEventId }) },
  });
  const heard: Heard[] = [];
  let lastId = lastEventId ?? "";
  let retryMs: number | undefined;
  let comments = 0;
  let ended = false;
  const hear = (message: string) => {
    const fields = new Map(message.split("\n").map((line) => [fieldOf(line), line.replace(/^\w*: ?/, "")]));
    if (fields.has("")) comments++;
    lastId = fields.get("id") ?? lastId;
    if (fields.has("retry")) retryMs = Number(fields.get("retry"));
    const data = fields.get("data");
    if (data) heard.push({ event: fields.get("event") ?? "message", id: lastId, data: JSON.parse(data) });
  };
  const isStream = answer.headers.get("content-type") === "text/event-stream";
  const read = async () => {
    const decoder = new TextDecoder();
    let text = "";
    for await (const bytes of answer.body ?? []) {
      const messages = (text + decoder.decode(bytes, { stream: true })).split("\n\n");
      text = messages.pop() ?? "";
      for (const message of messages) hear(message);
    }
  };
  const reading = isStream
    ? read()
        .catch(() => undefined)
        .finally(() => {
          ended = true;
        })
    : undefined;
  return {
    status: answer.status,
    headers: answer.headers,
    heard,
    lastId: () => lastId,
    retryMs: () => retryMs,
    comments: () => comments,
    hasEnded: () => ended,
    problem: async () => (await answer.json()) as { type: string; detail: string },
    hears: (count, event = "seat") =>
      until(`${count} of the event ${event}`, () => {
        const found = heard.filter((each) => each.event === event);
        return found.length >= count && found;
      }),
    cut: async () => {
      gone.abort();
      await reading;
    },
  };
}

const fieldOf = (line: string) => line.slice(0, Math.max(0, line.indexOf(":")));

/** A client that reads nothing until it is told to. */
export interface SleepyListener {
  /** Everything that is there for it, when the server has closed. */
  readAll(): Promise<string>;
  close(): void;
}

export async function listenAsleep(url: string, eventId = 1): Promise<SleepyListener> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => undefined);
  const chunks: Buffer[] = [];
  const begun = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  socket.on("close", () => closed.resolve());
  socket.on("end", () => closed.resolve());
  socket.once("data", () => {
    socket.pause();
    begun.resolve();
  });
  socket.on("data", (bytes: Buffer) => chunks.push(bytes));
  socket.write(
    `GET /api/v1/events/${eventId}/changes HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`,
  );
  await begun.promise;
  return {
    readAll: async () => {
      socket.resume();
      await closed.promise;
      return Buffer.concat(chunks).toString();
    },
    close: () => socket.destroy(),
  };
}
