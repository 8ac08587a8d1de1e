import { expect, test } from "bun:test";
import { bodyOf, reserve } from "../engine/buyers.ts";
import { blockCommits } from "../engine/reservations.ts";
import { startProxy } from "../fixtures/proxy.ts";
import { until } from "../fixtures/until.ts";
import { openHouse } from "../fixtures/use-engine.ts";

// Rows 4 and 5 of README.md, both at once: the database falls silent in mid statement for longer than a buyer
// can be kept waiting, and the engine is killed before it answers again.

const WAIT = { deadlineMs: 30_000 };
const SEAT = 7;

test("a buyer who was told 503 because nobody knew does not own the seat, even if the engine dies before it is known", async () => {
  await using stack = new AsyncDisposableStack();
  const { databaseUrl, facts, open } = await openHouse(stack, { seats: SEAT });
  const proxy = await startProxy(databaseUrl);
  stack.defer(proxy.stop);
  const engine = await open({ DATABASE_URL: proxy.url });
  // The statement stands in its commit while the network falls silent; then it goes through.
  const commits = await blockCommits(stack, databaseUrl);
  const asked = reserve(engine.url, SEAT);
  await commits.areBlocked(1);
  proxy.hang();
  await commits.letGo();
  await until("the seat is reserved", async () => (await facts.seats()).get(SEAT)?.status === "reserved");
  const answer = await asked;
  expect(answer.status).toBe(503);
  expect(bodyOf(answer)).toMatchObject({ status: "RETRY", reason: "unavailable" });
  await engine.kill();
  expect((await facts.seats()).get(SEAT)?.status).toBe("reserved");

  proxy.heal();
  const survivor = await open({ DATABASE_URL: proxy.url });
  await until("the seat is given back", async () => (await facts.seats()).get(SEAT)?.status === "available");
  expect((await facts.ledger()).map(({ version, status }) => [version, status])).toEqual([
    [1, "RESERVED"],
    [2, "CANCELLED"],
  ]);
  expect((await reserve(survivor.url, SEAT)).status).toBe(201);
  await facts.allPublished(WAIT.deadlineMs);
  await facts.expectSound();
});
