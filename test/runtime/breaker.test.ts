import { expect, test } from "bun:test";
import { Breaker } from "../../src/runtime/breaker.ts";

test("opens after a number of failures in a row, admits a try later, and closes with a success", () => {
  let now = 0;
  const breaker = new Breaker({ failureLimit: 2, retryMs: 100, now: () => now });
  const state = () => [breaker.isOpen, breaker.admits];
  breaker.fail();
  expect(state()).toEqual([false, true]);
  breaker.succeed();
  breaker.fail();
  expect(state()).toEqual([false, true]);
  breaker.fail();
  expect(state()).toEqual([true, false]);
  now = 100;
  expect(state()).toEqual([true, true]);
  breaker.fail();
  expect(state()).toEqual([true, false]);
  now = 200;
  breaker.succeed();
  expect(state()).toEqual([false, true]);
});
