import { afterEach, expect, jest, test } from "bun:test";
import { SharedFlight } from "../../src/runtime/shared-flight.ts";
import { settle } from "./rounds.ts";

afterEach(() => jest.useRealTimers());

/** A flight whose calls end when the test says so. */
function openFlight(spacingMs?: number) {
  const calls: { with: string; ends(result: string): Promise<void>; fails(): Promise<void> }[] = [];
  const flight = new SharedFlight((asked: string) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    calls.push({
      with: asked,
      ends: (result) => {
        resolve(result);
        return settle();
      },
      fails: () => {
        reject(new Error("failed"));
        return settle();
      },
    });
    return promise;
  }, spacingMs);
  return { flight, calls, begun: () => calls.map((call) => call.with) };
}

test("join shares the call under way; once it has ended, the next one begins", async () => {
  const { flight, calls, begun } = openFlight();
  const both = Promise.all([flight.join("a"), flight.join("b")]);
  expect(begun()).toEqual(["a"]);
  await calls[0]?.ends("A");
  expect(await both).toEqual(["A", "A"]);
  void flight.join("c");
  expect(begun()).toEqual(["a", "c"]);
});

test("next never shares a call that began before: one call follows it, for all who ask meanwhile", async () => {
  const { flight, calls, begun } = openFlight();
  const first = flight.next("a");
  const later = Promise.all([flight.next("b"), flight.next("c")]);
  await settle();
  expect(begun()).toEqual(["a"]);
  await calls[0]?.ends("A");
  expect([await first, begun()]).toEqual(["A", ["a", "b"]]);
  await calls[1]?.ends("B");
  expect(await later).toEqual(["B", "B"]);
});

test("a call that fails, fails for those who share it and for nobody after", async () => {
  const { flight, calls } = openFlight();
  const both = Promise.allSettled([flight.join("a"), flight.join("b")]);
  const following = flight.next("c");
  await calls[0]?.fails();
  expect((await both).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  await calls[1]?.ends("C");
  expect(await following).toBe("C");
});

test("calls keep apart by the spacing, and all who ask before the next one begins share it", async () => {
  jest.useFakeTimers();
  const { flight, calls, begun } = openFlight(250);
  void flight.next("a");
  await calls[0]?.ends("A");
  void flight.next("b");
  jest.advanceTimersByTime(249);
  await settle();
  void flight.next("c");
  expect(begun()).toEqual(["a"]);
  jest.advanceTimersByTime(1);
  await settle();
  expect(begun()).toEqual(["a", "b"]);
});
