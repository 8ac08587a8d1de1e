import type pg from "pg";
import type { Opening } from "../parts/context.ts";
import { onFresh, openPool } from "../postgres/connect.ts";
import { DatabaseGate, type DatabaseState, type ProbeFault } from "../postgres/database-gate.ts";
import { PROBE_LOCK_TIMEOUT_MS, probeFaultOf, probeSale } from "../postgres/readiness.ts";
import { messageOf } from "../telemetry/log.ts";

/** The gate's probe has a connection of its own, so that readers of the catalogue cannot starve it. */
export const PROBE_CONNECTIONS = 1;
const PROBE_TIMEOUT_MS = 1000;

interface GateEvents {
  onChange(state: DatabaseState, reason: string | undefined): void;
  onNewEpoch(): void;
  /** Told at every probe. */
  onCatalogue(revision: number): void;
  /** Called once, when a pooler gives the engine's connections sessions that are not theirs. */
  onPooled(): void;
  /** Rehearses a sale on one of the connections that sell. */
  rehearse(): Promise<ProbeFault | undefined>;
}

/** Opens the connection for what the engine asks the database once a second. */
export function openProbes({ config, parts, log, lifecycle }: Opening): pg.Pool {
  const probes = openPool(
    {
      databaseUrl: parts.databaseUrl,
      connectTimeoutMs: config.connectTimeoutMs,
      statementTimeoutMs: PROBE_TIMEOUT_MS,
      lockTimeoutMs: PROBE_LOCK_TIMEOUT_MS,
      name: "sentinel-probe",
      mayBeReadOnly: true,
      connectionLimit: PROBE_CONNECTIONS,
    },
    (error) => log.debug({ error: error.message }, "the probe's database connection was lost"),
  );
  lifecycle.onClose("probe pool", () => probes.end());
  return probes;
}

/** Opens the gate, which probes the database. */
export function openGate({ lifecycle }: Opening, probes: pg.Pool, events: GateEvents): DatabaseGate {
  let epoch: number | undefined;
  let isPooled = false;
  const probe = async () => {
    const now = await onFresh(probes, probeSale);
    if (epoch !== undefined && now.epoch !== epoch) events.onNewEpoch();
    epoch = now.epoch;
    events.onCatalogue(now.catalogueRevision);
    if (now.hasMoved && !isPooled) events.onPooled();
    isPooled ||= now.hasMoved;
  };
  const gate = new DatabaseGate({
    probe: () => probe().then(() => undefined, probeFaultOf),
    rehearse: () => events.rehearse().catch((error) => ({ kind: "untried", reason: messageOf(error) })),
    onChange: events.onChange,
  });
  lifecycle.onClose("database gate", () => gate.close());
  return gate;
}
