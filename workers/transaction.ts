import type pg from "pg";
import { type Fault, faultOf } from "../src/postgres/faults.ts";
import { commitsGivenUp } from "../src/postgres/standbys.ts";
import type { FaultLog } from "../src/telemetry/log.ts";

/** The thread's connections, and the log of refusals. */
export interface Transactions {
  pool: pg.Pool;
  refusals: FaultLog;
}

/**
 * Runs `work` on its own connection. The connection may be the problem (a cached plan that no longer fits),
 * so it is kept only after success and after a plain refusal.
 * @returns the result of `work`, or the effect of its failure
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
