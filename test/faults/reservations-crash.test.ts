import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Engine, openEngine } from "../engine/engines.ts";
import { randomFrom, seedOf } from "../engine/random.ts";
import {
  blockCommits,
  newKey,
  type OnSale,
  openTheatre,
  type Theatre,
  tillAt,
  tokenOf,
  UNLIMITED,
} from "../engine/reservations.ts";
import { tempDir } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";
import { FAULT_TIMEOUT_MS, sized } from "./sizes.ts";

// Row 4 of README.md at random moments: holds and confirmations.

// Parts take seconds to start on a busy machine. Bun keeps this for one file only.
setDefaultTimeout(FAULT_TIMEOUT_MS);

const WAIT = { deadlineMs: 20_000 };
const CRASHES = sized(5, 30);
/** About what a hold takes: some crashes come before the commit, some behind it. */
const LATEST_CRASH_MS = 25;
const IN_FLIGHT = 20;

describe("an engine that is killed before it has answered", () => {
  const stack = new AsyncDisposableStack();
  let theatre: Theatre;
  let house: OnSale;
  let env: Record<string, string>;
  let nextSeat = 0;

  beforeAll(async () => {
    const dataDir = await tempDir("killed");
    stack.defer(dataDir.remove);
    theatre = await openTheatre(stack);
    house = await theatre.addEvent({ rows: 40, seatsPerRow: 40 });
    env = { DATABASE_URL: theatre.databaseUrl, DATA_DIR: dataDir.path, ...UNLIMITED };
  });
  afterAll(() => stack.disposeAsync());

  const open = () => openEngine(stack, env);
  const seats = (count: number) => Array.from({ length: count }, () => house.seats[nextSeat++] ?? 0);
  const reservationsOn = (seatIds: number[]) =>
    theatre.facts.query<{ id: string; status: string; seatIds: number[] }>(
      `select id, status::text, array_to_json(seat_ids) as "seatIds" from reservations where seat_ids && $1::bigint[] and status <> 'void'`,
      [seatIds],
    );
  /** Sends, and kills the engine when the transaction is just about to commit, which it then does. */
  const killAtCommit = async (engine: Engine, send: () => Promise<{ status: number }>) => {
    const commits = await blockCommits(stack, theatre.databaseUrl);
    const before = await theatre.ledgerRowCount();
    const answer = send();
    await commits.areBlocked(1);
    await engine.kill();
    await commits.letGo();
    await until(async () => (await theatre.ledgerRowCount()) > before, {
      ...WAIT,
      what: "the commit is through",
    });
    expect((await answer).status).toBe(0);
  };

  test("between commit and answer: the same hold sent again with its key is the one that was committed", async () => {
    const key = newKey();
    const body = { seatIds: seats(3) };
    const engine = await open();
    await killAtCommit(engine, () => tillAt(engine.url).hold(body, key));
    const [committed] = await reservationsOn(body.seatIds);
    const survivor = await open();
    const again = await tillAt(survivor.url).hold(body, key);
    expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([201, "true"]);
    expect([again.body.reservationId, again.body.seats.map(({ seatId }) => seatId)]).toEqual([
      committed?.id ?? "",
      body.seatIds,
    ]);
    expect(await reservationsOn(body.seatIds)).toHaveLength(1);
    // And its token, which nobody was told, is that of an owner.
    const confirmed = await tillAt(survivor.url).act("confirm", again.body, tokenOf(again.body));
    expect(confirmed.status).toBe(200);
    await survivor.stop();
  });

  test("between commit and answer: the same confirmation sent again with its key is answered 200", async () => {
    const key = newKey();
    const engine = await open();
    const held = (await tillAt(engine.url).hold({ seatIds: seats(2) })).body;
    const headers = { ...key, ...tokenOf(held) };
    await killAtCommit(engine, () => tillAt(engine.url).act("confirm", held, headers));
    const survivor = await open();
    const again = await tillAt(survivor.url).act("confirm", held, headers);
    expect([again.status, again.body.status, again.headers.get("idempotent-replayed")]).toEqual([
      ...[200, "CONFIRMED", "true"],
    ]);
    await survivor.stop();
    await theatre.expectSound();
  });

  test("at any moment: sent again with their keys, all holds are there once, as answered", async () => {
    const random = randomFrom(seedOf("reservations-crash.test.ts"));
    let lost = 0;
    let replayed = 0;
    for (let crash = 1; crash <= CRASHES; crash++) {
      const engine = await open();
      const sent = Array.from({ length: IN_FLIGHT }, () => ({
        key: newKey(),
        body: { seatIds: nextSeat % 2 ? seats(1) : seats(2) },
      }));
      // The first request to an engine takes longer than the others.
      expect((await tillAt(engine.url).hold({ seatIds: seats(1) }, newKey())).status).toBe(201);
      const first = sent.map(({ key, body }) => tillAt(engine.url).hold(body, key));
      await Bun.sleep(random() * LATEST_CRASH_MS);
      await engine.kill();
      const answers = await Promise.all(first);
      lost += answers.filter(({ status }) => status === 0).length;

      const survivor = await open();
      for (const [index, { key, body }] of sent.entries()) {
        const again = await until(
          async () => {
            const answer = await tillAt(survivor.url).hold(body, key);
            // A transaction of the one that was killed may still be ending.
            return answer.status !== 409 && answer;
          },
          { ...WAIT, what: "the hold is answered" },
        );
        expect(again.status).toBe(201);
        if (again.headers.has("idempotent-replayed")) replayed++;
        if (answers[index]?.status === 201) expect(again.text).toBe(answers[index].text);
        const found = await reservationsOn(body.seatIds);
        expect(found.map(({ id, seatIds }) => [id, seatIds])).toEqual([
          [again.body.reservationId, body.seatIds],
        ]);
      }
      await survivor.stop();
      await theatre.expectSound();
    }
    // Else the crashes came too early or too late to prove anything.
    expect(lost).toBeGreaterThan(0);
    expect(replayed).toBeLessThan(CRASHES * IN_FLIGHT);
    console.log(`reservations-crash.test.ts: ${lost} answers lost, ${replayed} replayed`);
  });
});
