import { beforeAll, describe, expect, test } from "bun:test";
import type { GeneratorResult, GeneratorTask } from "../../bench/generator/task.ts";
import { needDescriptors } from "../../bench/open-files.ts";
import type { Engine } from "../engine/engines.ts";
import { UNLIMITED } from "../engine/reservations.ts";
import { startChild } from "../fixtures/child.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { findRedis } from "../fixtures/redis.ts";
import { until } from "../fixtures/until.ts";
import { useHouse } from "../fixtures/use-engine.ts";
import { sized } from "./sizes.ts";

// Row 1 of README.md: 10,000 connections, all open before the first of them asks.

await partOrSkip("redis", findRedis);

const CONNECTIONS = 10_000;
/** Each process has a limit of its own, which may be three quarters of the files it may open. */
const CONNECTION_LIMIT = CONNECTIONS + 100;
const NEEDED_FILES = Math.ceil(CONNECTION_LIMIT / 0.75);
const ROUNDS = sized(1, 10);
const SEATS = 1000;
const WAIT = { deadlineMs: 50_000 };
const END_TIMEOUT_MS = 5000;

describe("10,000 connections", () => {
  const house = useHouse({
    needs: ["redis"],
    seats: SEATS * ROUNDS,
    env: { CONNECTION_LIMIT: String(CONNECTION_LIMIT), ...UNLIMITED },
  });
  let one: Engine;
  /** Two processes that share one port and the connections to it. */
  let two: Engine;
  let nextSeat = 1;

  beforeAll(async () => {
    needDescriptors(NEEDED_FILES);
    one = await house.open();
    two = await house.open({ WEB_CONCURRENCY: "2" });
  });

  /** A process of its own has the sockets. Each connection asks for one of the seats, all at once. */
  async function rush({ url }: Engine, seatCount: number): Promise<GeneratorResult> {
    const task: GeneratorTask = {
      ...{ url, connections: CONNECTIONS, seconds: 1, idleConnections: 0, pace: { kind: "burst" } },
      plan: { kind: "reserve", firstSeatId: nextSeat, lastSeatId: nextSeat + seatCount - 1 },
    };
    const command = [process.execPath, "bench/generator/main.ts", JSON.stringify(task)];
    const child = startChild("a crowd", command, { cwd: `${import.meta.dir}/../..` });
    try {
      await until("the crowd has its answers", () => child.exitCode() !== undefined);
      const [, result] = /^RESULT (.*)$/m.exec(child.output()) ?? [];
      if (result === undefined) throw new Error(`the crowd has failed:\n${child.output()}`);
      return JSON.parse(result);
    } finally {
      await child.end("SIGTERM", END_TIMEOUT_MS);
    }
  }

  test.each([
    ["one seat of one process", 1, () => one],
    ["100 seats of two processes", 100, () => two],
  ] as const)("that want %s: one winner a seat, 409 for the rest", async (_, seatCount, engine) => {
    for (let round = 0; round < ROUNDS; round++) {
      const { statuses, lost, seatsWonTwice } = await rush(engine(), seatCount);
      expect([lost, seatsWonTwice]).toEqual([0, 0]);
      expect(statuses).toEqual({ 201: seatCount, 409: CONNECTIONS - seatCount });
      const sold = await house.facts.query(
        "select from seats where status = 'reserved' and version = 1 and id between $1 and $2",
        [nextSeat, nextSeat + seatCount - 1],
      );
      expect(sold).toHaveLength(seatCount);
      nextSeat += seatCount;
    }
    await house.facts.expectSound();
  });

  test("and everything that was sold is published", () => house.facts.allPublished(WAIT.deadlineMs));
});
