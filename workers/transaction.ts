import type pg from "pg";
import { type Fault, faultOf } from "../src/postgres/faults.ts";
import { commitsGivenUp } from "../src/postgres/standbys.ts";
import type { FaultLog } from "../src/telemetry/log.ts";

/** What transactions run on: the thread's connections, and where refusals are told. */
export interface Transactions {
  pool: pg.Pool;
  refusals: FaultLog;
}

/**
 * Runs `work` on a connection of its own. A connection may be what is wrong (a cached plan that no longer
 * fits): it is kept only after success and after a plain refusal.
 * @returns what the work gave, or what its failure left behind.
 */
export async function transact<Result extends object>(
  { pool, refusals }: Transactions,
  work: (client: pg.PoolClient) => Promise<Result>,
): Promise<Result | Fault> {
  const client = await pool.connect().catch(() => undefined);
  if (!client) return "away";
  try {
    const result = await work(client);
    const isDoubtful = commitsGivenUp(client) > 0;
    client.release(isDoubtful);
    if (isDoubtful) return "doubtful";
    refusals.over();
    return result;
  } catch (error) {
    const fault = faultOf(error);
    const isUsable =
      fault === "refused" &&
      (await client.query("rollback").then(
        () => true,
        () => false,
      ));
    client.release(!isUsable);
    if (fault !== "doubtful") refusals.met(error);
    return fault;
  }
}
