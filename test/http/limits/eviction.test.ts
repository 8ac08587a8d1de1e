import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { chooseEvicted, doingOf } from "../../../src/http/limits/eviction.ts";
import type { Connection } from "../../../src/http/limits/server-sockets.ts";

const connection = (descriptor: number, given: Partial<Connection> = {}): Connection => ({
  ...{ descriptor, bytesReceived: 100, sentAgoMs: 50, receivedAgoMs: 60 },
  ...given,
});
const many = (count: number, from: number, given: Partial<Connection>) =>
  Array.from({ length: count }, (_, index) => connection(from + index, given));

const SILENT = { bytesReceived: 0, sentAgoMs: 10, receivedAgoMs: 10 };
const IDLE = { sentAgoMs: 20_000, receivedAgoMs: 20_010 };
const ASKING = { sentAgoMs: 20_000, receivedAgoMs: 5 };
/** Who asks, or was answered a moment ago. */
const isLively = (each: Connection) =>
  doingOf(each) === "asking" || (doingOf(each) === "idle" && each.sentAgoMs < 3000);

describe("connections beyond the limit", () => {
  test("nobody goes as long as there are no more than the limit", () => {
    expect(chooseEvicted(many(100, 0, SILENT), 100)).toEqual([]);
  });

  test("those who never sent anything go first, then those at rest, and a tenth of room is made at once", () => {
    const crowd = [...many(5, 0, ASKING), ...many(10, 100, IDLE), ...many(90, 200, SILENT)];
    const evicted = chooseEvicted(crowd, 100);
    expect(evicted.length).toBe(15);
    expect(new Set(evicted.map(({ doing }) => doing))).toEqual(new Set(["silent"]));
    const few = [...many(20, 0, ASKING), ...many(78, 100, IDLE), ...many(4, 200, SILENT)];
    expect(chooseEvicted(few, 100).map(({ doing }) => doing)).toEqual([
      ...Array(4).fill("silent"),
      ...Array(8).fill("idle"),
    ]);
  });

  test("among them the one that was given nothing for the longest goes first, so that who comes new stays", () => {
    const crowd = [5, 900, 20, 7000, 1].map((ageMs, descriptor) =>
      connection(descriptor, { bytesReceived: 0, sentAgoMs: ageMs, receivedAgoMs: ageMs }),
    );
    expect(chooseEvicted(crowd, 3).map(({ descriptor }) => descriptor)).toEqual([3, 1, 2]);
  });

  test("those that wait for an answer go only as far as the limit asks for it", () => {
    expect(chooseEvicted(many(103, 0, ASKING), 100).length).toBe(3);
  });

  test("bytes that trickle in win no place from clients who are answered and ask again and again", () => {
    const buyers = many(10, 0, { sentAgoMs: 300, receivedAgoMs: 301 });
    const tricklers = many(200, 100, { sentAgoMs: 800, receivedAgoMs: 5 });
    const evicted = chooseEvicted([...buyers, ...tricklers], 200);
    expect(evicted.map(({ descriptor }) => descriptor)).toEqual(
      tricklers.slice(0, 10).map((each) => each.descriptor),
    );
  });

  test("those who were answered a moment ago go only as far as the limit asks for it", () => {
    expect(chooseEvicted(many(103, 0, { sentAgoMs: 2999, receivedAgoMs: 3010 }), 100).length).toBe(3);
    expect(chooseEvicted(many(103, 0, { sentAgoMs: 3000, receivedAgoMs: 3010 }), 100).length).toBe(13);
  });

  test("one that has sent bytes for longer than any answer takes, and none just now, waits for none", () => {
    expect(doingOf(connection(1, { sentAgoMs: 9000, receivedAgoMs: 4000 }))).toBe("idle");
    expect(doingOf(connection(1, { sentAgoMs: 9000, receivedAgoMs: 2 }))).toBe("asking");
    expect(doingOf(connection(1, { sentAgoMs: 2, receivedAgoMs: 9 }))).toBe("idle");
    expect(doingOf(connection(1, { bytesReceived: 0 }))).toBe("silent");
  });

  test("whatever they do, the limit is kept, nobody goes twice, and of the lively who was given nothing for the longest", () => {
    const milliseconds = fc.nat(60_000);
    const anyone = fc.record({
      bytesReceived: fc.nat(3),
      sentAgoMs: milliseconds,
      receivedAgoMs: milliseconds,
    });
    fc.assert(
      fc.property(fc.array(anyone, { maxLength: 200 }), fc.integer({ min: 1, max: 150 }), (crowd, limit) => {
        const connections = crowd.map((each, descriptor) => connection(descriptor, each));
        const evicted = chooseEvicted(connections, limit);
        expect(new Set(evicted.map(({ descriptor }) => descriptor)).size).toBe(evicted.length);
        expect(connections.length - evicted.length).toBeLessThanOrEqual(limit);
        expect(evicted.length).toBeLessThanOrEqual(Math.max(0, connections.length - Math.floor(limit * 0.9)));
        const gone = new Set(evicted.map(({ descriptor }) => descriptor));
        const stays = connections.filter(({ descriptor }) => !gone.has(descriptor));
        const livelyGoers = evicted.filter(isLively);
        if (livelyGoers.length === 0) return;
        expect(stays.filter((each) => !isLively(each))).toEqual([]);
        const shortestMs = Math.min(...livelyGoers.map(({ sentAgoMs }) => sentAgoMs));
        expect(stays.filter(({ sentAgoMs }) => sentAgoMs > shortestMs)).toEqual([]);
      }),
    );
  });
});
