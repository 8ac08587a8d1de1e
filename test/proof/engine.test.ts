import { beforeAll, describe, expect, test } from "bun:test";
import { Redis as Client } from "ioredis";
import { openSale, reserve, seatsFrom } from "../engine/buyers.ts";
import { type LogLine, logLines } from "../engine/engines.ts";
import { readMetrics } from "../engine/scraped-metrics.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { findRedis } from "../fixtures/redis.ts";
import { until } from "../fixtures/until.ts";
import { useEngine } from "../fixtures/use-engine.ts";

const found = await partOrSkip("redis", findRedis);

/** One slice: each round sees the whole house. */
const SEATS = 400;
/** As an engine does, in the shape of its statement. */
const SELL_SEAT_9 = `
  with sold as (
    update seats set status = 'reserved', version = 1, reservation_id = gen_random_uuid(), last_txid = pg_current_xact_id(),
      last_epoch = (select max(epoch) from ledger_epochs)
    where id = 9 returning *
  ), reservation as (
    insert into reservations (id, event_id, status, seat_count, seat_ids, prices_minor)
    select reservation_id, event_id, 'confirmed', 1, array[id], array[price_minor] from sold
  )
  insert into seat_events (epoch, seat_id, version, event_id, status, reservation_id)
  select last_epoch, id, version, event_id, 'RESERVED', reservation_id from sold`;
const PARTS = ["seats", "memory", "locks", "ledger"];

describe.skipIf(!found)("the auditor of a running engine", () => {
  const house = useEngine({ needs: ["redis"], seats: SEATS });
  let client: Client;
  /** `sentinel:<database>`, as its keys and its channel begin. */
  let prefix = "";

  beforeAll(async () => {
    client = new Client(house.redis?.url ?? "");
    house.stack.defer(() => client.disconnect());
    const channel = await until(
      "the engine listens to its change feed",
      async () => ((await client.pubsub("CHANNELS", "*:feed")) as string[])[0],
    );
    prefix = channel.slice(0, -":feed".length);
  });

  const drift = async (part: string) =>
    (await readMetrics(house.url)).value("sentinel_audit_drift", { part });
  const looked = async (part: string) =>
    (await readMetrics(house.url)).value("sentinel_audit_checks_total", { part }) ?? 0;
  const standing = (counts: Record<string, number>) =>
    until(`the drift is ${JSON.stringify(counts)}`, async () => {
      const { value } = await readMetrics(house.url);
      return Object.entries(counts).every(
        ([part, count]) => value("sentinel_audit_drift", { part }) === count,
      );
    });
  /** The auditor's lines: level, where, and what; ids of reservations left out. */
  const told = () =>
    (logLines(house.engine) as (LogLine & { seatId?: number; place?: string })[])
      .filter(({ msg }) => msg.includes("drift"))
      .map(({ level, msg, seatId, place }) => {
        const words = msg.replace(/row: [0-9a-f-]{36} instead of .*/, "row");
        return [level, seatId ?? place, words].filter((word) => word !== undefined).join(" ");
      });

  test("looks at everything all the time and finds nothing while seats are sold", async () => {
    const before = await looked("seats");
    const sale = openSale(house.url, seatsFrom(101, SEATS), 8);
    await until(
      "the house was looked at",
      async () => (await looked("seats")) >= before + SEATS && (await looked("ledger")) > 0,
    );
    await sale.end();
    for (const part of PARTS) expect([part, await drift(part)]).toEqual([part, 0]);
    expect(told()).toEqual([]);
  });

  test("sees what other hands have done, names it, goes on selling, and sees that it is mended", async () => {
    const { reservationId } = JSON.parse((await reserve(house.url, 7)).body);
    await house.facts.query("update seats set reservation_id = gen_random_uuid() where id = 7");
    await client.set(`${prefix}:seat:8`, "nobody");
    // Anybody who can write to Redis can make the engine refuse a free seat.
    const lie = { from: "a stranger", sequence: 1, seats: [[9, 1, "reserved", true]] };
    await client.publish(`${prefix}:feed`, JSON.stringify(lie));
    await standing({ seats: 1, locks: 1, memory: 1 });
    expect(told().toSorted()).toEqual([
      "40 7 drift: the seat's owner is not that of its last ledger row",
      "40 9 drift: memory has version 1 (reserved), the database 0 (available)",
      `40 Redis 1: ${prefix}:seat:8 drift: a seat's lock never ends`,
    ]);
    expect((await reserve(house.url, 10)).status).toBe(201);

    await house.facts.query("update seats set reservation_id = $1 where id = 7", [reservationId]);
    await client.del(`${prefix}:seat:8`);
    // What memory said comes true: the seat is sold by another engine.
    await house.facts.query(SELL_SEAT_9);
    await standing({ seats: 0, locks: 0, memory: 0 });
    expect(told().slice(3)).toEqual(Array.from({ length: 3 }, () => "30 the drift is gone"));
  });
});
