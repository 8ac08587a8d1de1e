import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import type { Recalled } from "../../src/postgres/recall.ts";
import type { OwnerAction } from "../../src/reservations/changes.ts";
import type { ChangeOutcome } from "../../src/reservations/outcome.ts";
import type { ChangeAnswer } from "../../src/threads/messages.ts";
import { until } from "../fixtures/until.ts";
import { watch } from "../runtime/rounds.ts";
import { done, openChanges, row } from "./changer.ts";
import { factsOf, turn } from "./worker.ts";

const RECOVERY_DEADLINE_MS = 5000;
const SETTLE_INTERVAL_MS = 250;

const KEY = { scope: "somebody", key: "k-1", fingerprint: "f" };
const unavailable: ChangeOutcome = { kind: "busy", reason: "unavailable" };

describe("a change", () => {
  test("goes to a worker with those of the same moment, each with its action, and its key where it has one", async () => {
    const { ask, sent, last } = openChanges();
    ask("a", "confirm");
    ask("b", "release", KEY);
    ask("c", "cancel");
    await turn();
    expect(sent).toHaveLength(1);
    const changeId = expect.any(String);
    expect(last().task).toEqual({
      kind: "change",
      changes: [
        { reservationId: "a", action: "confirm", key: null, changeId },
        { reservationId: "b", action: "release", key: KEY, changeId },
        { reservationId: "c", action: "cancel", key: null, changeId },
      ],
    });
  });

  test("that is done tells the reservation as it is now", async () => {
    const { ask, last } = openChanges();
    const asked = ask("a");
    await turn();
    await last().answers([done("a", [[1, 2]])]);
    expect(asked.outcome).toEqual({ kind: "done", facts: factsOf("a", [1]) });
  });

  test.each<[ChangeAnswer, ChangeOutcome]>([
    [row("missing", { status: null }), { kind: "missing" }],
    [row("refused", { status: "confirmed" }), { kind: "refused", status: "confirmed" }],
    [row("refused", { status: "released" }), { kind: "refused", status: "released" }],
    [row("refused", { status: "expired" }), { kind: "refused", status: "expired" }],
    [row("refused", { status: "cancelled" }), { kind: "refused", status: "cancelled" }],
    [row("refused", { status: "held" }), { kind: "refused", status: "held" }],
    [row("gone", { gone: [4, 5] }), { kind: "gone", seatIds: [4, 5] }],
    [row("over_limit"), { kind: "over_limit" }],
    [row("replayed"), { kind: "replayed" }],
    [row("key_mismatch"), { kind: "key_mismatch" }],
    [row("again"), unavailable],
    [row("capped"), unavailable],
    [{ verdict: "claimed" }, { kind: "running" }],
    [{ verdict: "undecided" }, unavailable],
  ])("answered %j", async (answer, outcome) => {
    const { ask, last, changed } = openChanges();
    const asked = ask("a");
    await turn();
    await last().answers([answer]);
    expect(asked.outcome).toEqual(outcome);
    expect(changed).toEqual([]);
  });

  test("that was refused is no trouble of its neighbours", async () => {
    const { ask, last, decided } = openChanges();
    const asked = ["a", "b", "c"].map((id) => ask(id));
    await turn();
    await last().answers([row("missing", { status: null }), done("b", [[1, 2]]), { verdict: "undecided" }]);
    expect(asked.map(({ outcome }) => outcome?.kind)).toEqual(["missing", "done", "busy"]);
    expect(decided).toEqual([3]);
  });

  test.each<[OwnerAction, boolean, string, boolean]>([
    ["confirm", true, "reserved", true],
    ["confirm", false, "reserved", false],
    ["extend", true, "held", false],
    ["release", true, "available", false],
    ["cancel", true, "available", false],
  ])(
    "by %s (event takes nothing back: %j) makes its seats %s for memory and the others",
    async (action, final, status, forGood) => {
      const { ask, last, memory, changed } = openChanges();
      ask("a", action);
      await turn();
      const seats: [number, number][] = [
        [1, 5],
        [2, 7],
      ];
      await last().answers([done("a", seats, final)]);
      expect<unknown>(changed).toEqual([
        [1, 5, status, forGood],
        [2, 7, status, forGood],
      ]);
      expect([memory.versionOf(1), memory.versionOf(2)]).toEqual([5, 7]);
      expect([memory.isAvailable(1), memory.isGone(1)]).toEqual([status === "available", forGood]);
    },
  );

  test("asks for a look at the database where that is unavailable", async () => {
    const { ask, last, troubles } = openChanges();
    const asked = ask("a");
    await turn();
    await last().answers("away");
    expect([troubles, asked.outcome]).toEqual([["away"], unavailable]);
  });
});

describe("what is in flight", () => {
  test("is the reservation: who asks for it meanwhile is told running, and may ask again after its answer", async () => {
    const { ask, last } = openChanges();
    ask("a", "confirm");
    expect(ask("a", "release")).toEqual({ atOnce: true, outcome: { kind: "running" } });
    expect(ask("b", "release").atOnce).toBe(false);
    await turn();
    expect(ask("a", "release").outcome).toEqual({ kind: "running" });
    await last().answers([row("again"), row("again")]);
    expect(ask("a", "release").atOnce).toBe(false);
  });

  test("is the key: the same on another reservation is running", async () => {
    const { ask, last } = openChanges();
    ask("a", "confirm", KEY);
    expect(ask("b", "confirm", KEY)).toEqual({ atOnce: true, outcome: { kind: "running" } });
    expect(ask("b", "confirm", { ...KEY, scope: "another" }).atOnce).toBe(false);
    await turn();
    await last().answers([row("again"), row("again")]);
    expect(ask("b", "confirm", KEY).atOnce).toBe(false);
  });
});

describe("an extension whose caller's claim is somebody else's", () => {
  test("is asked for again where callers are limited, and keeps nobody of its batch waiting", async () => {
    const { ask, changes, decided, last, sent } = openChanges({ limitedCallers: ["net"] });
    const [extended, confirmed] = [ask("a", "extend"), ask("b", "confirm")];
    await turn();
    changes.refuse("draining");
    const drained = watch(changes.drained());
    await last().answers([{ verdict: "claimed" }, done("b", [[2, 3]])]);
    expect([extended.outcome, confirmed.outcome?.kind, decided]).toEqual([undefined, "done", [1]]);
    await until("it is asked for again", () => sent.length === 2);
    expect([last().reservationIds, drained.isOver]).toEqual([["a"], false]);
    await last().answers([done("a", [[1, 2]])]);
    expect([extended.outcome?.kind, drained.isOver]).toEqual(["done", true]);
  });

  test("is told running where it stays claimed", async () => {
    const { ask, last, sent } = openChanges({ limitedCallers: ["net"] });
    const asked = ask("a", "extend");
    await turn();
    await until("it is told", async () => {
      await last().answers([{ verdict: "claimed" }]);
      return asked.outcome !== undefined;
    });
    expect([asked.outcome, sent.length > 1]).toEqual([{ kind: "running" }, true]);
  });
});

describe("the bounds", () => {
  test("a batch has no more reservations than its limit, the queue no more than its own", async () => {
    const { ask, last, sent } = openChanges({ batchLimitReservations: 2, queueLimitReservations: 3 });
    ask("x");
    await turn();
    for (const id of ["a", "b", "c"]) ask(id);
    expect(ask("d")).toEqual({ atOnce: true, outcome: { kind: "busy", reason: "overloaded" } });
    await last().answers([row("again")]);
    expect(sent.map(({ reservationIds }) => reservationIds)).toEqual([["x"], ["a", "b"]]);
  });

  test("while the database is unavailable the queue and newcomers are refused at once; then all goes on", async () => {
    const { ask, changes, last } = openChanges();
    const first = ask("x");
    await turn();
    const queued = ask("a");
    changes.refuse("unavailable");
    await turn();
    expect([queued.outcome, ask("b").outcome]).toEqual([unavailable, unavailable]);
    await last().answers([done("x", [])]);
    expect(first.outcome?.kind).toBe("done");
    changes.refuse(undefined);
    expect(ask("a").atOnce).toBe(false);
  });
});

describe("changes whose answer was lost", () => {
  beforeEach(() => jest.useFakeTimers({ now: 0 }));
  afterEach(() => jest.useRealTimers());

  async function openLost(action: OwnerAction = "confirm", how: "doubtful" | "dies" = "doubtful") {
    const opened = openChanges();
    const asked = opened.ask("a", action);
    await turn();
    const { task } = opened.last();
    await (how === "dies" ? opened.last().dies() : opened.last().answers("doubtful"));
    return { ...opened, asked, task };
  }

  const own: Recalled = { kind: "done", facts: factsOf("a", [1]), seats: [[1, 2]], final: false };

  test.each(["doubtful", "dies"] as const)("(%s) are looked up, before anybody is told", async (how) => {
    const { asked, sent, task, troubles } = await openLost("confirm", how);
    const [changeId] = sent[0]?.changeIds ?? [];
    expect(sent.map((each) => each.task)).toEqual([
      task,
      { kind: "recall", changes: [{ reservationId: "a", changeId: changeId ?? "" }] },
    ]);
    expect([asked.outcome, troubles]).toEqual([undefined, ["doubtful"]]);
  });

  test.each<[OwnerAction, string]>([
    ["confirm", "reserved"],
    ["extend", "held"],
    ["release", "available"],
    ["cancel", "available"],
  ])("are done where %s is found by its id, and its seats are told as %s", async (action, status) => {
    const { asked, changes, last, changed, sent } = await openLost(action);
    await last().recalls([own]);
    expect(asked.outcome).toEqual({ kind: "done", facts: factsOf("a", [1]) });
    expect<unknown>([changed, sent.length, changes.busySlots]).toEqual([[[1, 2, status, false]], 2, 0]);
  });

  test("are asked for again, under another id, where the first did nothing and never will", async () => {
    const { asked, last, sent } = await openLost();
    await last().recalls([{ kind: "never" }]);
    expect(last().task.kind).toBe("change");
    expect(last().changeIds).not.toEqual(sent[0]?.changeIds ?? []);
    await last().answers([row("refused", { status: "released" })]);
    expect(asked.outcome).toEqual({ kind: "refused", status: "released" });
  });

  test("are told one by one: what one of them waits for, its neighbours do not", async () => {
    const { ask, last } = openChanges();
    const asked = ["a", "b", "c"].map((id) => ask(id));
    await turn();
    await last().answers("doubtful");
    await last().recalls([own, { kind: "never" }, { kind: "running" }]);
    expect(asked.map(({ outcome }) => outcome?.kind)).toEqual(["done", undefined, undefined]);
    expect(last().reservationIds).toEqual(["b"]);
    await last().answers([done("b", [[2, 3]])]);
    expect(asked.map(({ outcome }) => outcome?.kind)).toEqual(["done", "done", undefined]);
    jest.advanceTimersByTime(SETTLE_INTERVAL_MS);
    await turn();
    expect(last()).toMatchObject({ task: { kind: "recall" }, reservationIds: ["c"] });
  });

  test("are looked up under every id that is in doubt where the second answer is lost, too", async () => {
    const { asked, last, sent } = await openLost();
    await last().recalls([{ kind: "never" }]);
    await last().answers("doubtful");
    jest.advanceTimersByTime(SETTLE_INTERVAL_MS);
    await turn();
    expect(last().task.kind).toBe("recall");
    expect(last().changeIds).toEqual(sent[2]?.changeIds ?? []);
    await last().recalls([own]);
    expect(asked.outcome?.kind).toBe("done");
  });

  test.each<["away" | Recalled[]]>([["away"], [[{ kind: "running" }]]])(
    "are looked up again and again while the answer is %j, and stay in flight",
    async (answer) => {
      const { ask, asked, changes, last, sent } = await openLost();
      for (let time = 1; time <= 3; time++) {
        await last().recalls(answer);
        expect(sent).toHaveLength(1 + time);
        jest.advanceTimersByTime(SETTLE_INTERVAL_MS);
        await turn();
      }
      expect([ask("a").outcome, changes.busySlots]).toEqual([{ kind: "running" }, 1]);
      await last().recalls([own]);
      expect([asked.outcome?.kind, changes.busySlots]).toEqual(["done", 0]);
    },
  );

  test.each<ChangeAnswer["verdict"]>(["claimed", "undecided"])(
    "are asked for again while the second answer is %s: the first attempt has its claims or locks still",
    async (verdict) => {
      const { asked, last } = await openLost();
      await last().recalls([{ kind: "never" }]);
      for (let time = 1; time <= 3; time++) {
        await last().answers([{ verdict } as ChangeAnswer]);
        expect(asked.outcome).toBeUndefined();
        jest.advanceTimersByTime(SETTLE_INTERVAL_MS);
        await turn();
        expect(last().task.kind).toBe("change");
      }
      await last().answers([done("a", [])]);
      expect(asked.outcome?.kind).toBe("done");
    },
  );

  test("are told as unavailable past the deadline; what became of them is found out, and nothing more is done", async () => {
    const { ask, asked, changes, database, last, changed, sent } = await openLost("release");
    database.isAway = true;
    jest.advanceTimersByTime(RECOVERY_DEADLINE_MS + 1);
    await last().recalls("away");
    expect([asked.outcome, sent.length, changed]).toEqual([unavailable, 2, []]);
    expect([changes.busySlots, ask("a").atOnce]).toEqual([1, false]);
    jest.advanceTimersByTime(SETTLE_INTERVAL_MS);
    await turn();
    await last().recalls([{ kind: "never" }]);
    expect([sent.map(({ task }) => task.kind), changes.busySlots]).toEqual([
      ["change", "recall", "recall"],
      1,
    ]);
    database.isAway = false;
    jest.advanceTimersByTime(SETTLE_INTERVAL_MS);
    await turn();
    expect(changed).toEqual([[1, 9, "reserved", false]]);
    // The slot goes to the one who asked meanwhile.
    expect(last().task.kind).toBe("change");
  });
});
