import type { OwnerAction } from "../../src/reservations/changes.ts";
import type { Take } from "../spec/model.ts";
import { passed, type Request, type Step } from "./model-steps.ts";

/** Steps, and the answers to what was asked in them. */
export type Scene = [Step, answers?: string][];

type Hold = Extract<Take, { do: "hold" }>;

const ask = (...group: Request[]): Step => ({ do: "ask", group });
const hold = (seatIds: number[], buyerId: string | null = null, key: Hold["key"] = null): Request => ({
  ...{ process: 0, do: "hold", seatIds, buyerId, key },
});
const reserve = (seatId: number): Request => ({ process: 0, do: "reserve", seatId });
const sweep: Step = ask({ process: 0, do: "sweep" });
/** Asks to change a reservation. `nth` counts back from the newest, which is 0. */
const change = (action: OwnerAction, nth = 0, key: string | null = null): Step =>
  ask({ process: 0, do: action, nth, key });
const wait = (minutes: number): [Step] => [{ do: "wait", forMs: passed(minutes) }];
const keyed = (fingerprint: string) => ({ key: "k1", fingerprint });
const sell = (eventId: number, status: "open" | "closed", on: number | null, off: number | null): [Step] => [
  { do: "sell", eventId, status, onSaleInMs: on && on * 60_000, offSaleInMs: off && off * 60_000 },
];

const DAY = 24 * 60;
const held: Scene = [[ask(hold([8, 7])), "held"], wait(1)];
const over: Scene = [[ask(hold([8, 7])), "held"], wait(10)];
const confirmed: Scene = [...held, [change("confirm"), "done"]];

/** A reservation in each state, and what its owner's actions are answered. */
export const STATES: Record<string, { scene: Scene; answers: Record<OwnerAction, string> }> = {
  held: {
    scene: held,
    answers: { confirm: "done", release: "done", extend: "done", cancel: "refused held" },
  },
  over: { scene: over, answers: { ...always("refused expired"), confirm: "done" } },
  expired: {
    scene: [...over, [sweep, "swept 1"]],
    answers: { ...always("refused expired"), confirm: "done" },
  },
  confirmed: { scene: confirmed, answers: { ...always("refused confirmed"), cancel: "done" } },
  released: { scene: [...held, [change("release"), "done"]], answers: always("refused released") },
  cancelled: { scene: [...confirmed, [change("cancel"), "done"]], answers: always("refused cancelled") },
  missing: { scene: [], answers: always("missing") },
};

function always(answer: string): Record<OwnerAction, string> {
  return { confirm: answer, release: answer, extend: answer, cancel: answer };
}

export const actionOn = (state: string, action: OwnerAction): Scene => {
  const { scene, answers } = STATES[state] ?? { scene: [], answers: always("") };
  return [...scene, [change(action), answers[action]]];
};

/** Events 1 (final, seats 1 and 2), 2 (three seats a buyer, 3 to 6) and 3 (neither, 7 to 9); holds last 10 minutes. */
export const SCENES: Record<string, Scene> = {
  "a hold is extended to 30 minutes after its beginning, and no further": [
    [ask(hold([7])), "held"],
    ...[9, 9, 9].flatMap((minutes): Scene => [wait(minutes), [change("extend"), "done"]]),
    wait(1),
    [change("extend"), "refused held"],
  ],
  "nothing is cancelled where the event takes nothing back": [
    [ask(hold([1])), "held"],
    [change("confirm"), "done"],
    [change("cancel"), "refused confirmed"],
    [ask(reserve(2)), "won"],
    [change("cancel"), "refused confirmed"],
  ],
  "a hold that is over is taken over before it is swept, whose sweep leaves others' seats alone": [
    ...over,
    [ask(hold([7, 9])), "held"],
    [sweep, "swept 1"],
    wait(10),
    [ask(reserve(7)), "won"],
    [ask(hold([8, 9])), "held"],
  ],
  "a late confirmation takes back seats that are free, also after another had them": [
    ...over,
    [ask(hold([8])), "held"],
    [change("release"), "done"],
    [change("confirm", 1), "done"],
  ],
  "a late confirmation takes back seats that were swept, also after another had them": [
    ...over,
    [ask(hold([8])), "held"],
    [change("release"), "done"],
    [sweep, "swept 1"],
    [change("confirm", 1), "done"],
  ],
  "a late confirmation replaces another hold that is over, and leaves its other seats to it": [
    ...over,
    [ask(hold([8, 9])), "held"],
    wait(10),
    [change("confirm", 1), "done"],
    [change("confirm"), "gone 8"],
    [sweep, "swept 1"],
  ],
  "a late confirmation names exactly the seats that others have": [
    [ask(hold([9, 8, 7])), "held"],
    wait(10),
    [ask(reserve(8)), "won"],
    [ask(hold([7])), "held"],
    [change("confirm", 2), "gone 7,8"],
    wait(10),
    [change("confirm", 2), "gone 8"],
    [sweep, "swept 2"],
    [change("confirm", 2), "gone 8"],
  ],
  "a hold that is over cannot be confirmed when the sale is over; one that lasts can": [
    ...over,
    [ask(hold([9])), "held"],
    sell(3, "open", null, -1),
    [change("confirm", 1), "refused expired"],
    [change("confirm"), "done"],
  ],
  "a late confirmation keeps to the buyer's limit": [
    [ask(hold([3, 4], "ann")), "held"],
    wait(10),
    [ask(hold([5, 6], "ann")), "held"],
    [change("confirm", 1), "over_limit"],
    [change("release"), "done"],
    [change("confirm", 1), "done"],
  ],
  "a buyer's limit is reached exactly, and counts what the buyer still has of the event": [
    [ask(hold([7, 8, 9], "ann")), "held"],
    [ask(hold([3, 4], "ann")), "held"],
    [ask(hold([5, 6], "ann")), "over_limit"],
    [ask(hold([5], "ann")), "held"],
    [ask(hold([6], "ann")), "over_limit"],
    [change("release"), "done"],
    [ask(hold([6], "ann")), "held"],
    [change("confirm"), "done"],
    [ask(hold([5], "ann")), "over_limit"],
    wait(10),
    [ask(hold([3, 4], "ann")), "held"],
    [ask(hold([5], "ann")), "over_limit"],
    [ask(hold([5], "bob")), "held"],
  ],
  "an event with a limit wants a buyer's name": [
    [ask(hold([3])), "closed buyer_needed"],
    [ask(reserve(3)), "closed buyer_needed"],
    [ask(hold([3], "ann")), "held"],
  ],
  "an event sells from the begin of its sale until its end, while it is open": [
    sell(3, "open", 3, 12),
    [ask(hold([7])), "closed not_on_sale"],
    [ask(reserve(7)), "closed not_on_sale"],
    wait(4),
    [ask(hold([7])), "held"],
    sell(3, "closed", null, null),
    [ask(hold([8], "ann")), "closed not_on_sale"],
    sell(3, "open", -5, 3),
    [ask(reserve(8)), "won"],
    wait(4),
    [ask(hold([9])), "closed not_on_sale"],
  ],
  "a basket is had as a whole, of one event, and of seats that are there": [
    [ask(hold([3, 7], "ann")), "mixed"],
    [ask(hold([7, 99])), "missing 99"],
    [ask(reserve(99)), "missing"],
    [ask(reserve(8)), "won"],
    [ask(hold([1])), "held"],
    [ask(hold([9, 8, 7])), "taken 8 reserved"],
    [ask(hold([2, 1])), "taken 1 held"],
    [ask(reserve(1)), "taken 1 held"],
    [ask(reserve(8)), "taken 8 reserved"],
    [ask(hold([9, 7]), hold([2]), hold([8])), "held; held; taken 8 reserved"],
  ],
  "a seat is had though another process has seen an older version": [
    [ask(hold([7, 8])), "held"],
    [change("release"), "done"],
    [ask({ ...hold([7, 8]), process: 1 }), "held"],
    [change("release"), "done"],
    [ask(reserve(7), reserve(8)), "won; won"],
  ],
  "a key is answered as it was, whatever became of the reservation, for 24 hours": [
    [ask(hold([7], null, keyed("a"))), "held"],
    wait(1),
    [change("extend"), "done"],
    [change("release"), "done"],
    [ask(hold([7], null, keyed("a"))), "replayed"],
    [ask(hold([8], null, keyed("b"))), "key_mismatch"],
    wait(DAY),
    [ask(hold([8], null, keyed("b"))), "held"],
    [ask(hold([8], null, keyed("b"))), "replayed"],
  ],
  "a key is not kept for a refusal": [
    [ask(hold([7])), "held"],
    [ask(hold([7], null, keyed("a"))), "taken 7 held"],
    [ask(hold([3, 4, 5, 6], "ann", keyed("b"))), "over_limit"],
    [ask(hold([3], null, keyed("b"))), "closed buyer_needed"],
    [ask(hold([8], null, keyed("b"))), "held"],
  ],
  "a key of a change lets it be done once, and is not kept for a refusal": [
    [ask(hold([7])), "held"],
    [change("cancel", 0, "k1"), "refused held"],
    [change("confirm", 0, "k1"), "done"],
    [change("confirm", 0, "k1"), "replayed"],
    [change("cancel", 0, "k1"), "key_mismatch"],
    wait(DAY),
    [change("cancel", 0, "k1"), "done"],
  ],
  "a seat that is not there counts as none of another event": [[ask(hold([3, 99], null, keyed("a")))]],
  "a buyer confirms no two late holds in one batch that pass the limit together": [
    [ask(hold([3, 4], "ann")), "held"],
    wait(10),
    [ask(hold([5, 6], "ann")), "held"],
    wait(10),
    [ask({ process: 0, do: "confirm", nth: 0, key: null }, { process: 0, do: "confirm", nth: 1, key: null })],
  ],
};
