import { expect } from "bun:test";
import { drizzle } from "drizzle-orm/node-postgres";
import { Client } from "pg";
import { makeApiKey } from "../../src/access/api-key.ts";
import { eventDescription } from "../../src/catalogue/description.ts";
import type { Role } from "../../src/http/caller.ts";
import { createEvent } from "../../src/postgres/event-writes.ts";
import type { EventDraft } from "../../src/venue/catalogue.ts";
import { createDatabase } from "../fixtures/postgres.ts";
import { untilWithin } from "../fixtures/until.ts";
import { type Engine, openEngine } from "./engines.ts";
import { type Facts, openFacts } from "./facts.ts";

const ANSWER_TIMEOUT_MS = 30_000;
const COMMIT_DEADLINE_MS = 5000;
const STATUSES = ["unknown", "available", "held", "reserved"] as const;

/** Every field that some answer about a reservation has; absent ones are undefined when a test looks. */
export interface ReservationBody {
  reservationId: string;
  status: string | number;
  eventId: number;
  seats: { seatId: number; reason: string; price: string; row: string | null }[];
  total: { amountMinor: number; currency: string };
  expiresAt: string;
  token: string;
  type: string;
  title: string;
  detail: string;
  reason: string;
  alternatives: number[];
  earliestHoldEndsAt: string;
  gone: number[];
}

export interface Answer {
  /** 0: the connection broke before an answer came. */
  status: number;
  headers: Headers;
  text: string;
  body: ReservationBody;
}

export type Headed = Record<string, string>;
export type Action = "confirm" | "extend" | "release" | "cancel";

/** A seller's way to one engine. */
export interface Till {
  send(method: string, path: string, init?: RequestInit): Promise<Answer>;
  hold(body: unknown, headers?: Headed): Promise<Answer>;
  act(action: Action, held: { reservationId: string }, headers?: Headed): Promise<Answer>;
  show(held: { reservationId: string }, headers?: Headed): Promise<Answer>;
  /** Of each seat, as the event's map says. */
  map(eventId: number): Promise<Map<number, (typeof STATUSES)[number]>>;
}

export const PATH = "/api/v1/reservations";

export function tillAt(url: string): Till {
  const send: Till["send"] = async (method, path, init = {}) => {
    try {
      const response = await fetch(url + path, {
        ...{ method, signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) },
        ...init,
      });
      const text = await response.text();
      const { status, headers } = response;
      return { status, headers, text, body: text.startsWith("{") ? JSON.parse(text) : {} };
    } catch (error) {
      if (error instanceof Error && error.name === "TimeoutError") throw error;
      return { status: 0, headers: new Headers(), text: "", body: {} as ReservationBody };
    }
  };
  return {
    send,
    hold: (body, headers = {}) =>
      send("POST", PATH, {
        headers: { "content-type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
      }),
    act: (action, { reservationId }, headers = {}) =>
      action === "release"
        ? send("DELETE", `${PATH}/${reservationId}`, { headers })
        : send("POST", `${PATH}/${reservationId}/${action}`, { headers }),
    show: ({ reservationId }, headers = {}) => send("GET", `${PATH}/${reservationId}`, { headers }),
    map: async (eventId) => {
      const answer = await fetch(`${url}/api/v1/events/${eventId}/map`);
      const { sections, data } = (await answer.json()) as {
        sections: { firstSeatId: number; seatCount: number; offset: number }[];
        data: string;
      };
      const bytes = Buffer.from(data, "base64");
      return new Map(
        sections.flatMap(({ firstSeatId, seatCount, offset }) =>
          Array.from({ length: seatCount }, (_, index) => {
            const code = ((bytes[offset + (index >> 2)] ?? 0) >> (2 * (index & 3))) & 3;
            return [firstSeatId + index, STATUSES[code] ?? "unknown"] as const;
          }),
        ),
      );
    },
  };
}

/** The header that makes a reservation the caller's. */
export const tokenOf = ({ token }: { token: string }): Headed => ({ "x-reservation-token": token });

/** What of an event a test says; the rest is as nobody cares. */
interface Described {
  /** Numbered seats, rows A, B, C ... */
  rows?: number;
  seatsPerRow?: number;
  /** Places of general admission, in a section of their own. */
  standing?: number;
  more?: Partial<EventDraft>;
}

/** An event with its seats' ids. */
export interface OnSale {
  eventId: number;
  /** Of the section "Stalls". */
  seats: number[];
  /** Of the section "Floor". */
  places: number[];
}

export interface Theatre {
  databaseUrl: string;
  facts: Facts;
  addEvent(described: Described): Promise<OnSale>;
  /** Opens an engine on this database, which closes with the theatre; without request limits unless `env` sets them. */
  openEngine(env?: Record<string, string>): Promise<Engine>;
  /** Opens such an engine, to sell there. */
  openTill(env?: Record<string, string>): Promise<Till>;
  /** The header that sends a new key of this role. */
  key(role: Role): Promise<Headed>;
  ledgerRowCount(): Promise<number>;
  /** What must hold of seats, reservations and ledger at any quiet moment. */
  expectSound(): Promise<void>;
}

/** A database of its own; events may be added before its engine starts and afterwards. */
export async function openTheatre(stack: AsyncDisposableStack, databaseUrl?: string): Promise<Theatre> {
  const database = databaseUrl === undefined ? await createDatabase() : undefined;
  if (database) stack.defer(database.drop);
  const url = databaseUrl ?? database?.url ?? "";
  const facts = await openFacts(stack, url);
  const engineWith = (env: Record<string, string> = {}) =>
    openEngine(stack, { DATABASE_URL: url, ...UNLIMITED, ...env });
  return {
    databaseUrl: url,
    facts,
    openEngine: engineWith,
    openTill: async (env) => tillAt((await engineWith(env)).url),
    addEvent: async (described) => {
      const client = new Client({ connectionString: url });
      await client.connect();
      try {
        const { id } = await createEvent(drizzle(client), draftOf(described));
        const seatsOf = async (section: string) => {
          const rows = await facts.query<{ id: number }>(
            `select s.id::int from seats s join sections p on p.id = s.section_id
             where p.event_id = $1 and p.name = $2 order by s.id`,
            [id, section],
          );
          return rows.map((row) => row.id);
        };
        return { eventId: id, seats: await seatsOf("Stalls"), places: await seatsOf("Floor") };
      } finally {
        await client.end();
      }
    },
    key: async (role) => {
      const { id, key, keyHash } = makeApiKey();
      await facts.query("insert into api_keys (id, name, role, key_hash) values ($1, 'of a test', $2, $3)", [
        ...[id, role, keyHash],
      ]);
      return { authorization: `Bearer ${key}` };
    },
    ledgerRowCount: async () => {
      const [row] = await facts.query<{ count: number }>("select count(*)::int as count from seat_events");
      return row?.count ?? -1;
    },
    expectSound: facts.expectSound,
  };
}

function draftOf({ rows = 0, seatsPerRow = 10, standing = 0, more = {} }: Described): EventDraft {
  const described = eventDescription.parse({
    ...{ name: "Of a test", currency: "EUR", cancellable: true },
    priceTiers: [{ name: "Normal", amountMinor: 4550 }],
    sections: [
      ...(rows > 0 ? [{ name: "Stalls", kind: "assigned", rows, seatsPerRow }] : []),
      ...(standing > 0 ? [{ name: "Floor", kind: "general", capacity: standing }] : []),
    ],
  });
  // Beyond what an admin may ask for: holds of a second.
  return { ...described, ...more };
}

/** The ms between the end of each of these holds and the ledger row that tells it. */
export async function sweptAfterMs({ facts }: Theatre, reservationIds: string[]): Promise<number[]> {
  const rows = await facts.query<{ ms: number }>(
    `select (extract(epoch from e.occurred_at - r.expires_at) * 1000)::float8 as ms
     from seat_events e join reservations r on r.id = e.reservation_id
     where e.status = 'EXPIRED' and r.id = any($1) order by ms`,
    [reservationIds],
  );
  return rows.map(({ ms }) => ms);
}

/** Transactions that change seats, stopped in their very commit: the one moment that matters and lasts no time. */
export interface BlockedCommits {
  /** Waits until that many stand in their commits; each is undone unless it is let go within 1.5 s. */
  areBlocked(count: number): Promise<void>;
  /** They commit, and so do all later ones. */
  letGo(): Promise<void>;
}

/** After this call every transaction that writes to the ledger (of a seat from `firstSeatId` on) waits in its commit. */
export async function blockCommits(
  stack: AsyncDisposableStack,
  databaseUrl: string,
  firstSeatId = 0,
): Promise<BlockedCommits> {
  const { query } = await openFacts(stack, databaseUrl);
  await query(
    `create or replace function wait_in_commit() returns trigger language plpgsql as
     $$ begin perform pg_advisory_xact_lock_shared(4242); return null; end $$`,
  );
  await query("select pg_advisory_lock(4242)");
  await query(
    `create constraint trigger wait_in_commit after insert on seat_events
     deferrable initially deferred for each row when (new.seat_id >= ${firstSeatId}) execute function wait_in_commit()`,
  );
  return {
    areBlocked: async (count) => {
      await untilWithin(COMMIT_DEADLINE_MS, `${count} transactions stand in their commits`, async () => {
        const waiting = await query("select from pg_stat_activity where wait_event = 'advisory'");
        return waiting.length === count;
      });
    },
    letGo: async () => {
      await query("select pg_advisory_unlock_all()");
      await query("drop trigger wait_in_commit on seat_events");
    },
  };
}

/** The header of a request that is to have one effect, however often it is sent. */
export const newKey = () => ({ "idempotency-key": crypto.randomUUID() });

/** An engine's environment without the limit of requests an address has: a test is one address. */
export const UNLIMITED = { RATE_LIMIT_ADDRESS_REQUESTS: "0", RATE_LIMIT_KEY_REQUESTS: "0" };

/** `urn:sentinel:problem:<slug>`, with the status; the type is told in the body and in the header. */
export function expectProblem(answer: Answer, status: number, slug: string): ReservationBody {
  expect([answer.status, answer.body.type]).toEqual([status, `urn:sentinel:problem:${slug}`]);
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  expect(answer.body.status).toBe(status);
  expect([answer.body.title, answer.body.detail]).not.toContain(undefined);
  expect(answer.headers.get("x-request-id")).toMatch(/\S/);
  return answer.body;
}
