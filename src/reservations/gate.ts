import type { CatalogueKeeper } from "../catalogue/keeper.ts";
import type { Context } from "../parts/context.ts";
import { type Database, onFresh } from "../postgres/connect.ts";
import { DatabaseGate, type ProbeFault } from "../postgres/database-gate.ts";
import { probeFaultOf, probeSale } from "../postgres/readiness.ts";
import { messageOf } from "../telemetry/log.ts";
import type { SeatMemory } from "../venue/seat-memory.ts";
import type { SharedMemory } from "./shared-memory.ts";

const POOLED =
  "a pooler gives every transaction another session (PgBouncer with pool_mode = transaction?): requests fail with 503 at random; set pool_mode = session for this database, then restart the engines (docs/operations/postgres.md)";

export interface GateDependencies extends Pick<SharedMemory, "keeper" | "trust"> {
  /** Used by the probe alone, so that readers of the catalogue cannot starve it. */
  probes: Database;
  memory: SeatMemory;
  catalogue: CatalogueKeeper;
  /** Rehearses a sale on one of the connections that sell. */
  rehearse(): Promise<ProbeFault | undefined>;
}

/** Opens the gate, which probes the database once a second and passes on what the probe sees. */
export function openGate(
  { engineMetrics, log, lifecycle }: Context,
  { probes, memory, catalogue, keeper, trust, rehearse }: GateDependencies,
): DatabaseGate {
  let epoch: number | undefined;
  let isPooled = false;
  /** Starts over in a new epoch: commits may have been lost on the way to it, so memory may be wrong. */
  const startOver = () => {
    memory.clear();
    keeper.forget();
    catalogue.forget();
    keeper.catchUp().catch((error: Error) => log.warn({ error: messageOf(error) }, "memory starts cold"));
  };
  const probe = async () => {
    const now = await onFresh(probes.$client, probeSale);
    if (epoch !== undefined && now.epoch !== epoch) startOver();
    epoch = now.epoch;
    catalogue.noticed(now.catalogueRevision);
    if (now.hasMoved && !isPooled) {
      log.error(POOLED);
      // Engines find each other by the locks of their sessions. Through a pooler those may belong to any
      // engine.
      trust.close();
    }
    isPooled ||= now.hasMoved;
  };
  const gate = new DatabaseGate({
    probe: () => probe().then(() => undefined, probeFaultOf),
    rehearse: () => rehearse().catch((error) => ({ kind: "untried", reason: messageOf(error) })),
  });
  lifecycle.onClose("database gate", () => gate.close());
  gate.onChange((state, reason) => engineMetrics.databaseChanged(state, reason));
  return gate;
}
