import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Redis as Client } from "ioredis";
import { SeatFeed } from "../../src/redis/seat-feed.ts";
import type { SeatChange } from "../../src/venue/seat-events.ts";
import { partOrSkip } from "../fixtures/parts.ts";
import { startProxy } from "../fixtures/proxy.ts";
import { findRedis, type Redis, startRedis } from "../fixtures/redis.ts";
import { untilWithin } from "../fixtures/until.ts";

const found = await partOrSkip("redis", findRedis);

/** Heartbeats every 250 ms, lost after 1 s, peers after 2 s; and a busy machine. */
const SOON_MS = 8000;
const CHANGE: SeatChange = { seatId: 7, version: 1, status: "reserved", final: true };
const FREED: SeatChange = { seatId: 8, version: 3, status: "available", final: false };

// Each test waits for heartbeats most of its time, on a channel of its own.
describe.skipIf(!found)("the change feed", () => {
  let redis: Redis;
  let client: Client;
  beforeAll(async () => {
    redis = await startRedis();
    client = new Client(redis.url);
  });
  const closes: (() => unknown)[] = [];
  afterAll(async () => {
    for (const close of closes.reverse()) await close();
    client.disconnect();
    await redis.stop();
  });

  let channels = 0;
  const newChannel = () => `feed-${++channels}`;

  /** A process that listens: what it heard, when it was live, and how often it caught up. */
  function openFeed(channel: string, processId: string, redisUrl = redis.url) {
    const heard: SeatChange[] = [];
    const states: boolean[] = [];
    const catchUps: { succeeds(): void; fails(): void }[] = [];
    const held = { back: false };
    const feed = new SeatFeed({
      redis: { url: redisUrl },
      channel,
      processId,
      timeoutMs: 100,
    });
    feed.start({
      onChanges: (changes) => heard.push(...changes),
      onLive: (live) => states.push(live),
      catchUp: () =>
        new Promise<void>((resolve, reject) => {
          catchUps.push({ succeeds: resolve, fails: () => reject(new Error("the database is unavailable")) });
          if (!held.back) resolve();
        }),
    });
    closes.push(() => feed.close());
    const untilLive = () => untilWithin(SOON_MS, `${processId} is live`, () => feed.isLive);
    const untilLost = () => untilWithin(SOON_MS, `${processId} is lost`, () => !feed.isLive);
    return { feed, heard, states, catchUps, held, untilLive, untilLost };
  }

  /** A message of a peer that the test plays itself. */
  const say = (channel: string, from: string, sequence: number, seats: SeatChange[] = []) =>
    client.publish(
      channel,
      JSON.stringify({
        ...{ from, sequence },
        seats: seats.map(({ seatId, version, status, final }) => [seatId, version, status, final]),
      }),
    );

  /** The peer's next messages, without a hole and so that it never falls silent, until it is lost and live again. */
  async function talkOn(channel: string, sequence: number, isDone: () => boolean): Promise<void> {
    let next = sequence;
    await untilWithin(
      SOON_MS,
      "it is lost and live again",
      async () => isDone() || void (await say(channel, "peer", next++)),
    );
  }

  const heardAll = (heard: SeatChange[], changes: SeatChange[]) =>
    untilWithin(SOON_MS, "the changes are heard", () => Bun.deepEquals(heard, changes));

  test.concurrent("is lost until a catch-up read is through, then live", async () => {
    const { feed, held, catchUps, states, untilLive } = openFeed(newChannel(), "one");
    held.back = true;
    await untilWithin(SOON_MS, "it catches up", () => catchUps.length === 1);
    expect([feed.isLive, states]).toEqual([false, []]);
    catchUps[0]?.succeeds();
    await untilLive();
    expect(states).toEqual([true]);
  });

  test.concurrent("catches up again when the read failed, and is not live before", async () => {
    const { feed, held, catchUps, untilLive } = openFeed(newChannel(), "one");
    held.back = true;
    await untilWithin(SOON_MS, "it catches up", () => catchUps.length === 1);
    catchUps[0]?.fails();
    await untilWithin(SOON_MS, "it catches up again", () => catchUps.length === 2);
    expect(feed.isLive).toBe(false);
    catchUps[1]?.succeeds();
    await untilLive();
  });

  test.concurrent("carries more changes than one message may, in several, without loss", async () => {
    const channel = newChannel();
    const [one, two] = [openFeed(channel, "one"), openFeed(channel, "two")];
    await Promise.all([one.untilLive(), two.untilLive()]);
    const changes = Array.from(
      { length: 1300 },
      (_, index): SeatChange => ({
        ...{ seatId: index + 1, version: 1, status: "held", final: false },
      }),
    );
    await untilWithin(
      SOON_MS,
      "the other hears all of them",
      () => one.feed.publish(changes) ?? two.heard.length >= changes.length,
    );
    expect(two.heard.slice(0, changes.length)).toEqual(changes);
    expect(two.feed.isLive).toBe(true);
  });

  test.concurrent("carries a change to every other process, and not back", async () => {
    const channel = newChannel();
    const [one, two, three] = ["one", "two", "three"].map((name) => openFeed(channel, name));
    if (!one || !two || !three) throw new Error("three feeds");
    await Promise.all([one.untilLive(), two.untilLive(), three.untilLive()]);
    // Until it has heard of the others it takes itself for alone, and only counts.
    const arrived = () => {
      one.feed.publish([CHANGE, FREED]);
      return two.heard.length > 0 && three.heard.length > 0;
    };
    await untilWithin(SOON_MS, "both others hear it", arrived);
    for (const { heard } of [two, three]) expect(heard.slice(0, 2)).toEqual([CHANGE, FREED]);
    expect(one.heard).toEqual([]);
  });

  test.concurrent("counts what it does not send while it is alone, so that a process that already listens sees the gap", async () => {
    const channel = newChannel();
    const listener = new Client(redis.url);
    closes.push(() => listener.disconnect());
    const sequences: number[] = [];
    listener.on("message", (_channel, text: string) => sequences.push(JSON.parse(text).sequence));
    await listener.subscribe(channel);
    const { feed } = openFeed(channel, "alone");
    await untilWithin(SOON_MS, "a heartbeat", () => sequences.length === 1);
    feed.publish([CHANGE]);
    await untilWithin(SOON_MS, "the next heartbeat", () => sequences.length === 2);
    expect(sequences).toEqual([1, 3]);
  });

  test.concurrent("makes a newcomer catch up with what was changed by a process that was alone", async () => {
    const channel = newChannel();
    const alone = openFeed(channel, "alone");
    await alone.untilLive();
    alone.feed.publish([CHANGE]);
    const newcomer = openFeed(channel, "newcomer");
    await newcomer.untilLive();
    expect(newcomer.catchUps.length).toBeGreaterThan(0);
    expect(newcomer.heard).toEqual([]);
  });

  test.concurrent("stays apart from the feed of another database", async () => {
    const [here, there] = [newChannel(), newChannel()];
    const one = openFeed(here, "one");
    const other = openFeed(there, "other");
    await Promise.all([one.untilLive(), other.untilLive()]);
    await say(there, "peer", 1, [CHANGE]);
    await heardAll(other.heard, [CHANGE]);
    expect(one.heard).toEqual([]);
  });

  test.concurrent("is lost at a hole in a peer's count, catches up and is live again", async () => {
    const channel = newChannel();
    const { catchUps, states, untilLive } = openFeed(channel, "one");
    await untilLive();
    await say(channel, "peer", 1);
    await talkOn(channel, 3, () => states.length === 3);
    expect(states).toEqual([true, false, true]);
    expect(catchUps.length).toBe(2);
  });

  test.concurrent("is not lost by a peer that begins, or counts without a hole", async () => {
    const channel = newChannel();
    const { states, heard, untilLive } = openFeed(channel, "one");
    await untilLive();
    for (let sequence = 1; sequence <= 3; sequence++) await say(channel, "peer", sequence, [CHANGE]);
    await heardAll(heard, [CHANGE, CHANGE, CHANGE]);
    expect(states).toEqual([true]);
  });

  test.concurrent("is lost when a peer it never heard is in the middle of its count", async () => {
    const channel = newChannel();
    const { states, untilLive } = openFeed(channel, "one");
    await untilLive();
    await talkOn(channel, 5, () => states.length === 3);
    expect(states).toEqual([true, false, true]);
  });

  test.concurrent("is lost when a peer falls silent: its last word may be lost", async () => {
    const channel = newChannel();
    const { states, heard, untilLive } = openFeed(channel, "one");
    await untilLive();
    await say(channel, "peer", 1, [CHANGE]);
    await heardAll(heard, [CHANGE]);
    await untilWithin(SOON_MS, "it is lost and live again", () => states.length === 3);
    expect(states).toEqual([true, false, true]);
  });

  test.concurrent("loses what was said while its connection was broken, knows it, and catches up", async () => {
    const channel = newChannel();
    const network = await startProxy(redis.url);
    closes.push(network.stop);
    const peer = openFeed(channel, "peer");
    const { heard, catchUps, untilLive, untilLost } = openFeed(channel, "one", network.url);
    await Promise.all([untilLive(), peer.untilLive()]);
    network.cut();
    peer.feed.publish([CHANGE]);
    await untilLost();
    const before = catchUps.length;
    network.heal();
    await untilLive();
    expect(heard).toEqual([]);
    expect(catchUps.length).toBeGreaterThan(before);
  });

  test.concurrent("notices a hung Redis, which closes no connection, and is live again after it", async () => {
    const hung = await startRedis();
    closes.push(hung.stop);
    const { catchUps, untilLive, untilLost } = openFeed(newChannel(), "one", hung.url);
    await untilLive();
    const before = catchUps.length;
    hung.pause();
    await untilLost();
    hung.resume();
    await untilLive();
    expect(catchUps.length).toBeGreaterThan(before);
  });

  test.concurrent("does not take a catch-up for the one it needs that began before the loss", async () => {
    const channel = newChannel();
    const { feed, held, catchUps, untilLive } = openFeed(channel, "one");
    held.back = true;
    await untilWithin(SOON_MS, "it catches up", () => catchUps.length === 1);
    await say(channel, "peer", 5);
    await untilWithin(SOON_MS, "it begins to catch up again", () => catchUps.length === 2);
    catchUps[0]?.succeeds();
    await new Promise((resolve) => setImmediate(resolve));
    expect(feed.isLive).toBe(false);
    catchUps[1]?.succeeds();
    await untilLive();
  });

  test("is not harmed by whatever a stranger says on its channel", async () => {
    const channel = newChannel();
    const { heard, untilLive } = openFeed(channel, "one");
    await untilLive();
    const bare = '{"from":"stranger","sequence":1}';
    const seatsOf = (seats: unknown) => bare.replace("}", `,"seats":${JSON.stringify(seats)}}`);
    for (const text of ["", "no json", "null", "7", "{}", bare]) await client.publish(channel, text);
    for (const seats of [
      null,
      [7],
      [["7", 1, "reserved", true]],
      [[7, -1, "reserved", true]],
      [[7, 1, "gone", true]],
    ]) {
      await client.publish(channel, seatsOf(seats));
    }
    await say(channel, "peer", 1, [CHANGE]);
    await heardAll(heard, [CHANGE]);
  });
});
