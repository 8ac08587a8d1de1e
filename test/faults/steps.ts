import { blockCommits } from "../engine/reservations.ts";
import type { Held } from "../fixtures/proxy.ts";
import type { WiredHouse } from "./wired-house.ts";

/** Requests that a shop sends, one after the other: a seat, a basket to hold and a basket to confirm, both with keys. */
interface Requests {
  reserve: { seatId: number; send(): void };
  hold: { seatIds: number[]; key: string; send(): void };
  confirm: { reservationId: string; send(): void };
}

/** A moment at which a request can stand still, and what becomes of it when its engine is killed there. */
export interface Step {
  name: string;
  /** Whether the seats are changed although nobody hears of it. */
  isChanged: boolean;
  /** Sends all of them and resolves when each stands at the step. */
  stand(house: WiredHouse, requests: Requests): Promise<Standing>;
}

interface Standing {
  /** To be called when the engine is dead: its messages arrive now, or never. */
  afterwards(): Promise<void>;
}

type Stop = (house: WiredHouse, requests: Requests) => Promise<Held>;

/** One stop for each request; a request is sent when the one before stands, so that no batch has two of them. */
const stops =
  (end: "cut" | "release", reserve: Stop, hold: Stop, confirm: Stop): Step["stand"] =>
  async (house, requests) => {
    const helds: Held[] = [];
    for (const [stop, { send }] of [
      [reserve, requests.reserve],
      [hold, requests.hold],
      [confirm, requests.confirm],
    ] as const) {
      const reached = stop(house, requests);
      send();
      helds.push(await reached);
    }
    return {
      afterwards: async () => {
        for (const held of helds) held[end]();
      },
    };
  };

const reserveStatement =
  (direction: "toServer" | "toClient"): Stop =>
  ({ postgres }, { reserve }) =>
    postgres.holdWhen(String(reserve.seatId), direction);

/** With a key the statement that decides does not commit: another one does. */
const holdDecided: Stop = ({ postgres }, { hold }) => postgres.holdWhen(String(hold.seatIds[0]), "toClient");
const confirmDecided: Stop = ({ postgres }) =>
  postgres.holdWhen("change_reservations_with_claims", "toClient");
const commitAfter =
  (decided: Stop, direction: "toServer" | "toClient"): Stop =>
  async (house, requests) =>
    (await decided(house, requests)).releaseUntil("commit\0", direction);

const beforeConfirm: Stop = ({ postgres }, { confirm }) =>
  postgres.holdWhen(confirm.reservationId, "toServer");

const lockOf =
  (seatOf: (requests: Requests) => number | undefined): Stop =>
  ({ redis, postgres }, requests) =>
    (redis ?? postgres).holdWhen(String(seatOf(requests)), "toServer");

export const STEPS: Step[] = [
  {
    // A confirmation takes no lock. Without a Redis nobody does, and this is the step before the transaction.
    name: "before the lock",
    isChanged: false,
    stand: stops(
      "cut",
      lockOf(({ reserve }) => reserve.seatId),
      lockOf(({ hold }) => hold.seatIds[0]),
      beforeConfirm,
    ),
  },
  {
    name: "with the lock, before the transaction",
    isChanged: false,
    stand: stops(
      "cut",
      reserveStatement("toServer"),
      // Its first statement takes the claim on its key.
      ({ postgres }, { hold }) => postgres.holdWhen(`:${hold.key}`, "toServer"),
      beforeConfirm,
    ),
  },
  {
    name: "in the transaction, whose commit never arrives",
    isChanged: false,
    stand: stops("cut", reserveStatement("toServer"), holdDecided, confirmDecided),
  },
  {
    name: "in the transaction, whose commit arrives afterwards",
    isChanged: true,
    stand: stops(
      "release",
      reserveStatement("toServer"),
      commitAfter(holdDecided, "toServer"),
      commitAfter(confirmDecided, "toServer"),
    ),
  },
  {
    name: "in the very commit",
    isChanged: true,
    stand: async ({ theatre, marked }, { reserve, hold, confirm }) => {
      const stack = new AsyncDisposableStack();
      const commits = await blockCommits(stack, theatre.databaseUrl, marked.seats[0]);
      for (const [position, { send }] of [reserve, hold, confirm].entries()) {
        send();
        await commits.areBlocked(position + 1);
      }
      return {
        afterwards: async () => {
          await commits.letGo();
          await stack.disposeAsync();
        },
      };
    },
  },
  {
    name: "after the commit, before the answer",
    isChanged: true,
    stand: stops(
      "cut",
      reserveStatement("toClient"),
      commitAfter(holdDecided, "toClient"),
      commitAfter(confirmDecided, "toClient"),
    ),
  },
];
