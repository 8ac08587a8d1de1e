import { until, untilWithin } from "../../fixtures/until.ts";
import { check, shortestRefused } from "../../spec/check.ts";
import type { History, Operation } from "../../spec/history.ts";
import type { LedgerRow } from "../../spec/house.ts";
import { Clients } from "./clients.ts";
import { HOLD_TTL_SECONDS, type Lane } from "./lane.ts";
import { type Fault, type Plan, planOf } from "./plan.ts";
import { strike } from "./strike.ts";

/** Between the end of the first holds and the clients who come after it. */
const OUTLASTED_MS = 30;
/** The engine is in doubt for 5 s at most before it tells the client 503, and then finds out; a look may take 20 s. */
const SETTLED_DEADLINE_MS = 30_000;
/** Before the engine is looked at again: it asks the database itself four times a second what is in doubt. */
const UNSETTLED_PAUSE_MS = 200;
/** Of each engine's log, where a seed could not be played to its end. */
const LOG_SHOWN_CHARS = 3000;
/** For a look at a seat when all is well. */
const PATIENCE_MS = 5000;

/** A lock is believed so long though its holder is gone (`GHOST_AGE_MS` of src/redis/seat-locks.ts). */
const GHOST_LOCK_MS = 500;

export interface Played {
  plan: Plan;
  history: History;
  rows: LedgerRow[];
  /** For a reader; undefined if everything is explained. */
  fault: string | undefined;
  /** Where there were too many orders to try for the clients' words alone. */
  isUndecided: boolean;
}

/** Plays a seed on fresh seats of the lane, lets all be well again, and judges what clients and ledger say. */
export async function playSeed(lane: Lane, seed: number): Promise<Played> {
  try {
    return await play(lane, seed);
  } catch (error) {
    const told = lane.machines.map(({ engine }) => engine.output().slice(-LOG_SHOWN_CHARS));
    const why = error instanceof Error && error.cause ? `${error}, ${error.cause}` : String(error);
    throw new Error(`seed ${seed}: ${why}\n${told.join("\n\n")}`, { cause: error });
  }
}

async function play(lane: Lane, seed: number): Promise<Played> {
  const plan = planOf(seed);
  const seatIds = lane.freshSeats(plan.isFinal);
  const urlOf = (engine: number) => lane.machines[engine]?.clients.url ?? "";
  const clients = new Clients(plan, seatIds, urlOf, lane.headers);
  await clients.play("before");
  if (plan.outlastsHolds) await Bun.sleep(HOLD_TTL_SECONDS * 1000 + OUTLASTED_MS);
  await Promise.all([clients.play("after"), strike(lane, plan)]);
  for (const machine of lane.machines) await machine.back();
  return judge(lane, plan, seatIds, clients);
}

async function judge(lane: Lane, plan: Plan, seatIds: number[], clients: Clients): Promise<Played> {
  const { facts } = lane.theatre;
  const asked = [...clients.operations];
  let played: Played | undefined;
  const settled = async () => {
    if (played) await Bun.sleep(UNSETTLED_PAUSE_MS);
    const settledAtMs = Date.now();
    const looks = await Promise.all(seatIds.map((seatId, place) => look(clients, seatId, place % 2)));
    const rows = await facts.query<LedgerRow>(
      `select seat_id::int as "seatId", version, status::text, reservation_id as "reservationId"
       from seat_events where seat_id = any($1::bigint[]) order by seat_id, version`,
      [seatIds],
    );
    const history: History = {
      ...{ holdTtlMs: HOLD_TTL_SECONDS * 1000, isFinal: plan.isFinal, settledAtMs },
      ghostLockMs: plan.faults.some(keepsLocks) ? GHOST_LOCK_MS : 0,
      operations: [...asked, ...looks],
    };
    const said = check(history);
    const done = check(history, rows);
    const isFine = said.kind !== "refused" && done.kind === "linearizable";
    const isUndecided = said.kind === "undecided";
    const fault = isFine ? undefined : reportOf(plan, history, rows, said.kind === "refused");
    played = { plan, history, rows, fault, isUndecided };
    return isFine;
  };
  await untilWithin(SETTLED_DEADLINE_MS, "all is settled and explained", settled).catch((error) => {
    if (!played) throw error;
  });
  if (!played) throw new Error("nothing was judged");
  return played;
}

/** Whether the holder of a lock may not get to free it. */
const keepsLocks = (fault: Fault): boolean =>
  fault.what === "link"
    ? fault.link === "redis"
    : fault.what !== "backends ended" && fault.what !== "kafka paused";

/** At a moment when nothing is wrong: it must be answered. */
async function look(clients: Clients, seatId: number, engine: number): Promise<Operation> {
  return until(`seat ${seatId} can be looked at`, async () => {
    const operation = await clients.ask({ do: "look", seatId }, engine, PATIENCE_MS);
    return operation.answer.kind === "seat" && operation;
  });
}

/** `!`: an answer that fits nowhere in the order that explains the most. */
function reportOf(plan: Plan, history: History, rows: LedgerRow[], isRefused: boolean): string {
  const beginning = isRefused ? shortestRefused(history) : shortestRefused(history, rows);
  const verdict = isRefused ? check(beginning) : check(beginning, rows);
  const stuck = verdict.kind === "refused" ? verdict.stuck : [];
  const seats = new Set(beginning.operations.flatMap(({ asked }) => ("seatId" in asked ? asked.seatId : [])));
  const lines = beginning.operations
    .toSorted((one, other) => one.calledAtMs - other.calledAtMs)
    .map((operation) => `${stuck.includes(operation) ? "!" : " "} ${lineOf(beginning, operation)}`);
  return [
    `seed ${plan.seed}: no order of these explains their answers${isRefused ? "" : " and the ledger"}`,
    ...lines,
    "the ledger:",
    ...rows
      .filter(({ seatId }) => seats.size === 0 || seats.has(seatId))
      .map((row) => `  seat ${row.seatId} version ${row.version}: ${row.status} ${row.reservationId}`),
    "the faults:",
    ...plan.faults.map((fault) => `  ${JSON.stringify(fault)}`),
    `again: FAULT_SEED=${plan.seed} bun test test/faults/random-faults.test.ts`,
  ].join("\n");
}

function lineOf({ operations }: History, { id, asked, answer, calledAtMs, returnedAtMs }: Operation): string {
  const beginMs = Math.min(...operations.map((operation) => operation.calledAtMs));
  const end = Number.isFinite(returnedAtMs) ? returnedAtMs - beginMs : "never";
  return `${id}: ${calledAtMs - beginMs} to ${end} ms: ${JSON.stringify(asked)} -> ${JSON.stringify(answer)}`;
}
