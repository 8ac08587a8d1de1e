import { beforeAll, describe, expect, test } from "bun:test";
import { openSale, reserve, type Sale } from "../engine/buyers.ts";
import { type Engine, openEngine } from "../engine/engines.ts";
import {
  type Answer,
  expectProblem,
  type Headed,
  newKey,
  openTheatre,
  tillAt,
  tokenOf,
  UNLIMITED,
} from "../engine/reservations.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import type { Direction, Held, Network } from "../fixtures/proxy.ts";
import { useStack } from "../fixtures/stack.ts";
import { findToxiproxy, startToxiproxy } from "../fixtures/toxiproxy.ts";
import { until } from "../fixtures/until.ts";
import { expectOneEffect, openOrders } from "./keyed-orders.ts";
import { sized } from "./sizes.ts";
import { expectTruth } from "./truth.ts";
import { openWiredHouse, type WiredHouse } from "./wired-house.ts";

// Row 5 of README.md, and of DESIGN.md section 4: a socket cut in mid statement.

const WAIT = { deadlineMs: 20_000 };
const LOAD_BUYERS = 8;

/** Where the connection breaks, and whether the database has committed by then. */
const CUTS: [where: string, direction: Direction, how: "cut" | "lose", isCommitted: boolean][] = [
  ["before the server has it", "toServer", "cut", false],
  ["while it is on its way, and it arrives late", "toServer", "lose", false],
  ["after it, before its answer", "toClient", "cut", true],
];

describe("a connection cut in the commit, under load", () => {
  const stack = useStack();
  let house: WiredHouse;
  let engine: Engine;
  let load: Sale;

  beforeAll(async () => {
    house = await openWiredHouse(stack);
    // What is left open by a lost connection ends after this, and until then its seats are in doubt.
    engine = await openEngine(stack, { ...house.env, STATEMENT_TIMEOUT_MS: "1000" });
    load = openSale(engine.url, house.load.seats, LOAD_BUYERS);
  });

  const query: WiredHouse["theatre"]["facts"]["query"] = (...asked) => house.theatre.facts.query(...asked);
  const sessions = async () => {
    const rows = await query<{ pid: number }>(
      "select pid from pg_stat_activity where application_name = 'sentinel-reservation'",
    );
    return rows.map(({ pid }) => pid);
  };
  /** What the ledger says of a seat. */
  const storyOf = async (seatId: number) => {
    const rows = await query<{ status: string }>(
      "select status::text from seat_events where seat_id = $1 order by version",
      [seatId],
    );
    return rows.map(({ status }) => status);
  };

  /** Sends, cuts at the stop, and lets what was on its way arrive after the answer. */
  async function cutAt<Result>(
    reached: Promise<Held>,
    how: "cut" | "lose",
    send: () => Promise<Result>,
  ): Promise<Result> {
    const sent = send();
    const held = await reached;
    const before = await sessions();
    held[how]();
    const answer = await sent;
    if (how === "cut") return answer;
    held.release();
    await until("the session that was lost has had the message and ended", async () => {
      const now = await sessions();
      return before.some((pid) => !now.includes(pid));
    });
    return answer;
  }

  describe.each(CUTS)("%s", (_, direction, how, isCommitted) => {
    /** The statement that has `text` commits by itself, or another one commits for it. */
    const commitWith = async (wire: Network, text: string, withClaims: boolean): Promise<Held> => {
      if (!withClaims) return wire.holdWhen(text, direction);
      const decided = await wire.holdWhen(text, "toClient");
      return decided.releaseUntil("commit\0", direction);
    };

    test("a buyer is told 201 or 503, whichever is true", async () => {
      const [seatId = 0] = house.seats(1);
      const reached = commitWith(house.postgres, String(seatId), false);
      const answer = await cutAt(reached, how, () => reserve(engine.url, seatId));
      expect(answer.status).toBe(isCommitted ? 201 : 503);
      await expectTruth(house.theatre.facts, [answer]);
      expect(await storyOf(seatId)).toEqual(isCommitted ? ["RESERVED"] : []);
      if (!isCommitted) expect((await reserve(engine.url, seatId)).status).toBe(201);
    });

    for (const [what, headersOf] of [
      ["without a key", () => ({})],
      ["with a key", newKey],
    ] as [string, () => Headed][]) {
      test(`a hold ${what} is there whole or not at all, as was told, and asked for again is one`, async () => {
        const key = headersOf();
        const isKeyed = "idempotency-key" in key;
        const body = { seatIds: house.seats(3) };
        const hold = () => tillAt(engine.url).hold(body, key);
        const reached = commitWith(house.postgres, String(body.seatIds[1]), isKeyed);
        const answer = await cutAt(reached, how, hold);
        expect(answer.status).toBe(isCommitted ? 201 : 503);
        for (const seatId of body.seatIds) expect(await storyOf(seatId)).toEqual(isCommitted ? ["HELD"] : []);

        const again = await hold();
        if (isCommitted && !isKeyed) expect(again.status).toBe(409);
        else expect(again.status).toBe(201);
        if (isCommitted && isKeyed) expect(again.text).toBe(answer.text);
        for (const seatId of body.seatIds) expect(await storyOf(seatId)).toEqual(["HELD"]);
        await house.theatre.expectSound();
      });

      test(`a confirmation ${what} is told 200, done once, and told so again`, async () => {
        const headers = headersOf();
        const isKeyed = "idempotency-key" in headers;
        const till = tillAt(engine.url);
        const { body } = await till.hold({ seatIds: house.seats(2) });
        const confirm = () => till.act("confirm", body, { ...headers, ...tokenOf(body) });
        const text = isKeyed ? "change_reservations_with_claims" : body.reservationId;
        const answer = await cutAt(commitWith(house.postgres, text, isKeyed), how, confirm);
        expect([answer.status, answer.body.status]).toEqual([200, "CONFIRMED"]);
        const again = await confirm();
        if (!isKeyed) expectProblem(again, 409, "already-confirmed");
        else expect([again.status, again.text]).toEqual([200, answer.text]);
        for (const { seatId } of body.seats) expect(await storyOf(seatId)).toEqual(["HELD", "RESERVED"]);
        await house.theatre.expectSound();
      });
    }
  });

  test("and of all the load beside it, everybody was told the truth, and everything is published", async () => {
    const answers = await load.stop();
    expect(load.won()).toBeGreaterThan(100);
    await expectTruth(house.theatre.facts, answers);
    await house.theatre.facts.allPublished(WAIT.deadlineMs);
  });
});

const toxiproxyFound = await partOrSkip("toxiproxy", findToxiproxy);

test.skipIf(!toxiproxyFound)(
  "a link that breaks after every few thousand bytes, wherever that is: each order asked for again has one effect",
  async () => {
    await using stack = new AsyncDisposableStack();
    const theatre = await openTheatre(stack);
    const { seats } = await theatre.addEvent({ rows: 100, seatsPerRow: 100 });
    const toxiproxy = await startToxiproxy();
    stack.defer(toxiproxy.stop);
    const link = await toxiproxy.link(theatre.databaseUrl);
    const { url } = await openEngine(stack, {
      ...{ DATABASE_URL: link.url, RESERVATION_WORKERS: "1", ...UNLIMITED },
    });
    const till = tillAt(url);
    let next = 0;
    const orders = openOrders(till, () => seats[next++] ?? 0, 8);
    for (let round = 1; round <= sized(1, 40); round++) {
      // Enough to prepare the statements (15 kB) and for some orders of 5 kB each.
      await link.add("limit_data", { bytes: 20_000 + 3_333 * round }, { stream: "upstream" });
      await link.add("limit_data", { bytes: 9_000 + 777 * round });
      const before = orders.confirmedCount();
      await until("orders come through", () => orders.confirmedCount() >= before + 50);
      await link.heal();
    }
    const sent = await orders.stop();
    const isBusy = (answer: Answer | undefined) => answer?.status === 503;
    expect(sent.some(({ held, confirmed }) => isBusy(held) || isBusy(confirmed))).toBe(true);
    await expectOneEffect(till, theatre.facts, sent);
    await theatre.expectSound();
    await theatre.facts.allPublished(WAIT.deadlineMs);
  },
);
