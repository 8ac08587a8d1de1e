import { beforeAll, describe, expect, test } from "bun:test";
import { type Engine, openEngine } from "../engine/engines.ts";
import {
  type Action,
  type Answer,
  newKey,
  type ReservationBody,
  tillAt,
  tokenOf,
} from "../engine/reservations.ts";
import type { Held } from "../fixtures/proxy.ts";
import { useStack } from "../fixtures/stack.ts";
import { until } from "../fixtures/until.ts";
import { openWiredHouse, type WiredHouse } from "./wired-house.ts";

// Row 5 of README.md: the answer to a change is lost, and somebody else changes the same reservation before
// the engine has looked. Two engines: the answers of the one are cut, the other one's are not.

/** In the statement that looks up a lost change, and in no other message. */
const LOOK_UP = "fenced_change_ids = (l.change_ids";

const stack = useStack();
let house: WiredHouse;
let engine: Engine;
let peer: Engine;

beforeAll(async () => {
  house = await openWiredHouse(stack);
  engine = await openEngine(stack, { ...house.env, STATEMENT_TIMEOUT_MS: "1000" });
  peer = await openEngine(stack, { ...house.env, DATABASE_URL: house.theatre.databaseUrl });
});

const query: WiredHouse["theatre"]["facts"]["query"] = (...asked) => house.theatre.facts.query(...asked);
const storyOf = async (seatId: number | undefined) => {
  const rows = await query<{ status: string }>(
    "select status::text from seat_events where seat_id = $1 order by version",
    [seatId],
  );
  return rows.map(({ status }) => status);
};

type Step = Action | "expire" | "resell";

/** What the client asks for, what came before, what somebody else does before the look-up, and what the client hears. */
const CASES: [action: Action, before: Step[], meanwhile: Step[], says: string, story: string[]][] = [
  ["extend", [], ["confirm"], "HELD", ["HELD", "EXTENDED", "RESERVED"]],
  ["extend", [], ["extend"], "HELD", ["HELD", "EXTENDED", "EXTENDED"]],
  ["extend", [], ["release"], "HELD", ["HELD", "EXTENDED", "RELEASED"]],
  ["confirm", [], ["cancel"], "CONFIRMED", ["HELD", "RESERVED", "CANCELLED"]],
  [
    "confirm",
    ["expire"],
    ["cancel", "resell"],
    "CONFIRMED",
    ["HELD", "EXPIRED", "RESERVED", "CANCELLED", "HELD"],
  ],
  ["release", [], ["resell"], "RELEASED", ["HELD", "RELEASED", "HELD"]],
  ["cancel", ["confirm"], ["resell"], "CANCELLED", ["HELD", "RESERVED", "CANCELLED", "HELD"]],
];

async function doAt(url: string, step: Step, body: ReservationBody): Promise<Answer | undefined> {
  const till = tillAt(url);
  if (step === "resell") return till.hold({ seatIds: body.seats.map(({ seatId }) => seatId) });
  if (step !== "expire") return till.act(step, body, tokenOf(body));
  await query(
    `with r as (update reservations set created_at = created_at - interval '1 hour', expires_at = now() where id = $1 returning id)
     update seats set hold_expires_at = now() from r where reservation_id = r.id`,
    [body.reservationId],
  );
  await until("the hold is swept", async () => (await storyOf(body.seats[0]?.seatId)).at(-1) === "EXPIRED");
  return undefined;
}

describe.each(CASES)("%s after %j, then %j by somebody else", (action, before, meanwhile, says, story) => {
  test.each([
    ["without a key", false],
    ["with a key", true],
  ])("is told as its own success %s", async (_, isKeyed) => {
    const { body } = await tillAt(peer.url).hold({ seatIds: house.seats(2) });
    for (const step of before) await doAt(peer.url, step, body);
    const headers = { ...tokenOf(body), ...(isKeyed && newKey()) };

    const decided = house.postgres.holdWhen(
      isKeyed ? "change_reservations_with_claims" : body.reservationId,
      "toClient",
    );
    const lookUp = house.postgres.holdWhen(LOOK_UP, "toServer");
    const asked = tillAt(engine.url).act(action, body, headers);
    const answered: Held = isKeyed
      ? await (await decided).releaseUntil("commit\0", "toClient")
      : await decided;
    const own = await query<{ ends: number }>(
      "select (extract(epoch from expires_at) * 1000)::float8 as ends from reservations where id = $1",
      [body.reservationId],
    );
    answered.cut();
    const held = await lookUp;
    for (const step of meanwhile) expect((await doAt(peer.url, step, body))?.status).toBeLessThan(300);
    held.release();

    const answer = await asked;
    expect([answer.status, answer.body.status]).toEqual([200, says]);
    if (says === "HELD") expect(Date.parse(answer.body.expiresAt)).toBe(Math.floor(own[0]?.ends ?? 0));
    for (const { seatId } of body.seats) expect(await storyOf(seatId)).toEqual(story);
    if (isKeyed) {
      const again = await tillAt(peer.url).act(action, body, headers);
      expect([again.status, again.text]).toEqual([answer.status, answer.text]);
    }
    await house.theatre.expectSound();
  });
});

test("a hold that its buyer has extended meanwhile, through its key, is told as it was made", async () => {
  const headers = newKey();
  const body = { seatIds: house.seats(2) };
  const decided = house.postgres.holdWhen(String(body.seatIds[1]), "toClient");
  const lookUp = house.postgres.holdWhen("'void', 0", "toServer");
  const asked = tillAt(engine.url).hold(body, headers);
  const answered = await (await decided).releaseUntil("commit\0", "toClient");
  answered.cut();
  const held = await lookUp;
  const replayed = await tillAt(peer.url).hold(body, headers);
  expect(replayed.status).toBe(201);
  expect((await doAt(peer.url, "extend", replayed.body))?.status).toBe(200);
  held.release();
  const answer = await asked;
  expect([answer.status, answer.text]).toEqual([201, replayed.text]);
});

test("an extension whose message arrives after it was asked for again is done once", async () => {
  const till = tillAt(engine.url);
  const { body } = await till.hold({ seatIds: house.seats(2) });
  const sessions = async () => {
    const rows = await query<{ pid: number }>(
      "select pid from pg_stat_activity where application_name = 'sentinel-reservation'",
    );
    return rows.map(({ pid }) => pid);
  };
  const reached = house.postgres.holdWhen(body.reservationId, "toServer");
  const asked = till.act("extend", body, tokenOf(body));
  const held = await reached;
  const before = await sessions();
  held.lose();
  const answer = await asked;
  expect([answer.status, answer.body.status]).toEqual([200, "HELD"]);
  held.release();
  await until("the session that was lost has had the message and ended", async () => {
    const now = await sessions();
    return before.some((pid) => !now.includes(pid));
  });
  for (const { seatId } of body.seats) expect(await storyOf(seatId)).toEqual(["HELD", "EXTENDED"]);
  expect((await till.show(body, tokenOf(body))).body.expiresAt).toBe(answer.body.expiresAt);
});
