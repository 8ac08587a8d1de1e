import { randomFrom } from "../../engine/random.ts";
import type { Change } from "../../spec/history.ts";

/** Seats of a seed, by their places: the first are everybody's, each of the others is one client's alone. */
const HOT_SEATS = 3;
const LONE_SEATS = 2;
export const SEATS = HOT_SEATS + LONE_SEATS;
export const ENGINES = 2;
const RIVALS = 5;

/** What a client does next, at which engine, after how long. */
export interface Step {
  engine: number;
  afterMs: number;
  /** No client waits longer; what becomes of the request then, it does not hear. */
  patienceMs: number;
  what:
    | { do: "reserve" | "look"; place: number }
    | { do: "hold"; places: number[]; hasKey: boolean }
    /** Of the reservations that its client may know of, the newest first. */
    | { do: "show"; nth: number }
    | { do: Change; nth: number; hasKey: boolean };
}

type Link = "clients" | "postgres" | "redis" | "kafka";
export type Trouble =
  /** Closed, and refused until it is healed. */
  | "down"
  /** What is sent disappears, in one direction or both; closed when it is healed. */
  | "requests lost"
  | "answers lost"
  | "silent"
  | "reset"
  /** Closed after that many bytes of an answer. */
  | "cut short"
  | "slow"
  | "sliced";

export type Fault = { atMs: number; forMs: number } & (
  | { what: "link"; link: Link; engine: number; trouble: Trouble; degree: number }
  | { what: "engine paused" | "engine killed"; engine: number }
  | { what: "redis emptied" | "redis paused" | "redis killed" | "kafka paused" }
  | { what: "backends ended"; share: number }
);

export interface Plan {
  seed: number;
  /** Whether the seats' event takes nothing back. */
  isFinal: boolean;
  /** The clients' steps; those of the last are at seats of their own. */
  clients: { places: number[]; knowsOthers: boolean; before: Step[]; after: Step[] }[];
  /** Whether the holds of `before` are over when `after` begins. */
  outlastsHolds: boolean;
  /** While `after` is under way. */
  faults: Fault[];
}

const WINDOW_MS = 250;
const TROUBLES: Trouble[] = [
  ...(["down", "requests lost", "answers lost", "silent"] as const),
  ...(["answers lost", "reset", "cut short", "slow", "sliced"] as const),
];
/** What decides is broken most. */
const LINKS: Link[] = ["clients", "postgres", "postgres", "postgres", "redis", "redis", "kafka"];
/** As many as end what is taken as take. */
const CHANGES: Change[] = [
  "confirm",
  "confirm",
  "extend",
  "extend",
  "release",
  "release",
  "cancel",
  "cancel",
  "cancel",
];
/** A restarted engine takes a second and more. */
const KILL_SHARE = 0.04;
const OUTLAST_SHARE = 0.2;
const FINAL_SHARE = 0.2;

/** All of what a seed decides. When things happen, to the ms, the machine decides. */
export function planOf(seed: number): Plan {
  const chance = chanceOf(seed);
  const outlastsHolds = chance.isLucky(OUTLAST_SHARE);
  const steps = (places: number[], count: number) =>
    Array.from({ length: count }, () => stepAt(places, chance));
  const client = (places: number[], knowsOthers: boolean) => ({
    ...{ places, knowsOthers },
    before: outlastsHolds ? steps(places, 2) : [],
    after: steps(places, knowsOthers ? 5 : 7),
  });
  const hot = Array.from({ length: HOT_SEATS }, (_, place) => place);
  const clients = [
    ...Array.from({ length: RIVALS }, () => client(hot, true)),
    ...Array.from({ length: LONE_SEATS }, (_, index) => client([HOT_SEATS + index], false)),
  ];
  const faults = Array.from({ length: 1 + chance.upTo(3) }, () => faultBy(chance));
  if (chance.isLucky(KILL_SHARE))
    faults.push({
      atMs: chance.upTo(WINDOW_MS),
      forMs: 0,
      what: "engine killed",
      engine: chance.upTo(ENGINES),
    });
  return { seed, isFinal: chance.isLucky(FINAL_SHARE), clients, outlastsHolds, faults };
}

type Chance = ReturnType<typeof chanceOf>;

function chanceOf(seed: number) {
  const random = randomFrom(seed);
  const upTo = (limit: number) => Math.floor(random() * limit);
  return {
    ...{ random, upTo },
    isLucky: (share: number) => random() < share,
    oneOf: <T>(list: readonly T[]): T => list[upTo(list.length)] as T,
  };
}

function stepAt(places: number[], { random, upTo, isLucky, oneOf }: Chance): Step {
  const some = places.filter(() => isLucky(0.6));
  const nth = isLucky(0.7) ? 0 : upTo(4);
  const what = random();
  return {
    engine: upTo(ENGINES),
    afterMs: isLucky(0.5) ? 0 : upTo(40),
    patienceMs: 150 + upTo(700),
    what:
      what < 0.28
        ? { do: "reserve", place: oneOf(places) }
        : what < 0.5
          ? { do: "hold", places: some.length > 0 ? some : places, hasKey: isLucky(0.4) }
          : what < 0.58
            ? { do: "look", place: oneOf(places) }
            : what < 0.62
              ? { do: "show", nth }
              : { do: oneOf(CHANGES), nth, hasKey: isLucky(0.8) },
  };
}

function faultBy({ random, upTo, isLucky, oneOf }: Chance): Fault {
  const when = { atMs: upTo(WINDOW_MS), forMs: 20 + upTo(WINDOW_MS) };
  const engine = upTo(ENGINES);
  if (isLucky(0.6))
    return { ...when, what: "link", link: oneOf(LINKS), engine, trouble: oneOf(TROUBLES), degree: random() };
  switch (upTo(6)) {
    case 0:
      return { ...when, what: "redis emptied" };
    case 1:
      return { ...when, what: "redis paused" };
    case 2:
      return { ...when, what: isLucky(0.5) ? "redis killed" : "kafka paused" };
    case 3:
      return { ...when, what: "backends ended", share: random() };
    default:
      return { ...when, what: "engine paused", engine };
  }
}
