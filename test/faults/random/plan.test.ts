import { expect, test } from "bun:test";
import { planOf } from "./plan.ts";

const SEEDS = Array.from({ length: 200 }, (_, seed) => seed);

test("a seed decides what is asked and what breaks, the same each time", () => {
  for (const seed of SEEDS) expect(planOf(seed)).toEqual(planOf(seed));
  expect(new Set(SEEDS.map((seed) => JSON.stringify(planOf(seed)))).size).toBe(SEEDS.length);
});

test("200 seeds break every link, in every way, and every process", () => {
  const faults = SEEDS.flatMap((seed) => planOf(seed).faults);
  const links = faults.flatMap((fault) => (fault.what === "link" ? [fault] : []));
  expect(new Set(links.map(({ link }) => link)).size).toBe(4);
  expect(new Set(links.map(({ trouble }) => trouble)).size).toBe(8);
  expect(new Set(links.map(({ link, engine }) => `${link} of ${engine}`)).size).toBe(8);
  expect(new Set(faults.map(({ what }) => what))).toEqual(
    new Set([
      ...([
        "link",
        "engine paused",
        "engine killed",
        "redis emptied",
        "redis paused",
        "redis killed",
      ] as const),
      ...(["kafka paused", "backends ended"] as const),
    ]),
  );
});
