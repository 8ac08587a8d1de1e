import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import type { ChangeAnswer } from "../../src/dispatch/messages.ts";
import type { OwnerAction } from "../../src/reservations/changes.ts";
import type { ChangeOutcome } from "../../src/reservations/outcome.ts";
import { done, openChanges, row } from "./changer.ts";
import { factsOf, turn } from "./worker.ts";

const DOUBT_DEADLINE_MS = 5000;
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
    expect(last().task).toEqual({
      ...{ kind: "change", reservationIds: ["a", "b", "c"], actions: ["confirm", "release", "cancel"] },
      guards: [{ reservationId: "b", key: KEY }],
      isRepeated: false,
    });
  });

  test("that is done tells the reservation as it is now", async () => {
    const { ask, last } = openChanges();
    const asked = ask("a");
    await turn();
    await last().answers([done("a", [[1, 2]])]);
    expect(asked.outcome).toEqual({ kind: "done", facts: factsOf("a", [1]) });
  });

  test.each<[ChangeAnswer | undefined, ChangeOutcome]>([
    [row("missing", { status: null }), { kind: "missing" }],
    [row("refused", { status: "confirmed" }), { kind: "refused", status: "confirmed" }],
    [row("refused", { status: "released" }), { kind: "refused", status: "released" }],
    [row("refused", { status: "expired" }), { kind: "refused", status: "expired" }],
    [row("refused", { status: "cancelled" }), { kind: "refused", status: "cancelled" }],
    [row("refused", { status: "held" }), { kind: "refused", status: "held" }],
    [row("refused", { status: "void" }), { kind: "missing" }],
    [row("refused", { status: null }), { kind: "missing" }],
    [row("gone", { gone: [4, 5] }), { kind: "gone", seatIds: [4, 5] }],
    [row("over_limit"), { kind: "over_limit" }],
    [row("replayed"), { kind: "replayed" }],
    [row("key_mismatch"), { kind: "key_mismatch" }],
    [row("again"), unavailable],
    [row("capped"), unavailable],
    [{ verdict: "claimed" }, { kind: "running" }],
    [{ verdict: "undecided" }, unavailable],
    [undefined, unavailable],
  ])("answered %j", async (answer, outcome) => {
    const { ask, last, news } = openChanges();
    const asked = ask("a");
    await turn();
    await last().answers(answer ? [answer] : []);
    expect(asked.outcome).toEqual(outcome);
    expect(news).toEqual([]);
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
      const { ask, last, memory, news } = openChanges();
      ask("a", action);
      await turn();
      const seats: [number, number][] = [
        [1, 5],
        [2, 7],
      ];
      await last().answers([done("a", seats, final)]);
      expect<unknown>(news).toEqual([
        [1, 5, status, forGood],
        [2, 7, status, forGood],
      ]);
      expect([memory.versionOf(1), memory.versionOf(2)]).toEqual([5, 7]);
      expect([memory.isAvailable(1), memory.isGone(1)]).toEqual([status === "available", forGood]);
    },
  );

  test("asks for a look at the database where that is away", async () => {
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

describe("the bounds", () => {
  test("a batch has no more reservations than its limit, the queue no more than its own", async () => {
    const { ask, last, sent } = openChanges({ batchLimitReservations: 2, queueLimitReservations: 3 });
    ask("x");
    await turn();
    for (const id of ["a", "b", "c"]) ask(id);
    expect(ask("d")).toEqual({ atOnce: true, outcome: { kind: "busy", reason: "overloaded" } });
    await last().answers([row("again")]);
    expect(sent.map(({ task }) => task.reservationIds)).toEqual([["x"], ["a", "b"]]);
  });

  test("while the database is away the queue and newcomers are refused at once; then all goes on", async () => {
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

  test("draining is through when the last that was accepted has its answer", async () => {
    const { ask, changes, last } = openChanges();
    const asked = ask("a");
    await turn();
    changes.refuse("draining");
    expect(ask("b").outcome).toEqual({ kind: "busy", reason: "draining" });
    let isThrough = false;
    void changes.drained().then(() => {
      isThrough = true;
    });
    await turn();
    expect(isThrough).toBe(false);
    await last().answers([done("a", [])]);
    expect([isThrough, asked.outcome?.kind]).toEqual([true, "done"]);
  });
});

describe("changes whose answer was lost", () => {
  beforeEach(() => jest.useFakeTimers({ now: 0 }));
  afterEach(() => jest.useRealTimers());

  async function openDoubt(action: OwnerAction = "confirm", how: "doubtful" | "dies" = "doubtful") {
    const opened = openChanges();
    const asked = opened.ask("a", action);
    await turn();
    const { task } = opened.last();
    await (how === "dies" ? opened.last().dies() : opened.last().answers("doubtful"));
    return { ...opened, asked, task };
  }

  test.each(["doubtful", "dies"] as const)(
    "(%s) are asked for once more, before anybody is told",
    async (how) => {
      const { asked, sent, task, troubles } = await openDoubt("confirm", how);
      expect(sent.map((each) => each.task)).toEqual([task, { ...task, isRepeated: true }]);
      expect([asked.outcome, troubles]).toEqual([undefined, ["doubtful"]]);
    },
  );

  test.each<[OwnerAction, "confirmed" | "released" | "cancelled"]>([
    ["confirm", "confirmed"],
    ["release", "released"],
    ["cancel", "cancelled"],
  ])("count as done when %s finds the reservation %s then: it was asked for here", async (action, status) => {
    const { asked, last } = await openDoubt(action);
    const facts = factsOf("a", [1]);
    await last().answers([row("refused", { status, facts })]);
    expect(asked.outcome).toEqual({ kind: "done", facts });
  });

  test("are refused with a key that was not answered, whoever left the reservation as it is", async () => {
    const { ask, last } = openChanges();
    const asked = ask("a", "confirm", KEY);
    await turn();
    await last().answers("doubtful");
    await last().answers([row("refused", { status: "confirmed", facts: factsOf("a", [1]) })]);
    expect(asked.outcome).toEqual({ kind: "refused", status: "confirmed" });
  });

  test("are refused when another's state is found", async () => {
    const { asked, last } = await openDoubt("confirm");
    await last().answers([row("refused", { status: "released", facts: factsOf("a", [1]) })]);
    expect(asked.outcome).toEqual({ kind: "refused", status: "released" });
  });

  test("are refused for their own state where no answer was lost", async () => {
    const { ask, last } = openChanges();
    const asked = ask("a", "confirm");
    await turn();
    await last().answers([row("refused", { status: "confirmed", facts: factsOf("a", [1]) })]);
    expect(asked.outcome).toEqual({ kind: "refused", status: "confirmed" });
  });

  test("are done by the second asking where the first did nothing", async () => {
    const { asked, last, news } = await openDoubt();
    await last().answers([done("a", [[1, 2]])]);
    expect([asked.outcome?.kind, news[0]]).toEqual(["done", [1, 2, "reserved", false]]);
  });

  test.each<[string, "away" | "doubtful" | ChangeAnswer[]]>([
    ["away", "away"],
    ["doubtful", "doubtful"],
    ["that the first asking has its claim still", [{ verdict: "claimed" }]],
    ["that the first asking has its locks still", [{ verdict: "undecided" }]],
  ])("are asked for again and again while the answer is %s, and stay in flight", async (_answer, how) => {
    const { ask, asked, changes, last, sent } = await openDoubt();
    for (let time = 1; time <= 3; time++) {
      await last().answers(how);
      expect(sent).toHaveLength(1 + time);
      jest.advanceTimersByTime(SETTLE_INTERVAL_MS);
      await turn();
    }
    expect([ask("a").outcome, changes.busySlots]).toEqual([{ kind: "running" }, 1]);
    await last().answers([done("a", [])]);
    expect([asked.outcome?.kind, changes.busySlots]).toEqual(["done", 0]);
  });

  test("are refused when extend finds the reservation held then: that may be all it was", async () => {
    const { asked, last } = await openDoubt("extend");
    await last().answers([row("refused", { status: "held", facts: factsOf("a", [1]) })]);
    expect(asked.outcome).toEqual({ kind: "refused", status: "held" });
  });

  test("are told as unavailable past the deadline, and nothing is done for them any more; memory hears what became of them", async () => {
    const { ask, asked, changes, database, last, news, sent } = await openDoubt("release");
    database.isAway = true;
    jest.advanceTimersByTime(DOUBT_DEADLINE_MS + 1);
    await last().answers("away");
    expect([asked.outcome, sent.length, news]).toEqual([unavailable, 2, []]);
    expect(changes.busySlots).toBe(1);
    database.isAway = false;
    jest.advanceTimersByTime(SETTLE_INTERVAL_MS);
    await turn();
    expect([news, sent.length, changes.busySlots]).toEqual([[[1, 9, "reserved", false]], 2, 0]);
    expect(ask("a").atOnce).toBe(false);
  });
});
