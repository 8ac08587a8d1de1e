import { drizzle, type NodePgDatabase } from "drizzle-orm/node-postgres";
import { openSession } from "./connect.ts";
import { awaitStandbys } from "./standbys.ts";

/** One statement of an admin's change. A million seats are many statements, and an admin waits for another's. */
const STATEMENT_TIMEOUT_MS = 60_000;

/** One that changes the catalogue and one that waits for it; a third is refused. */
export const ADMIN_CONNECTIONS = 2;

/** Runs work on a database session of its own; undefined when too many do already. */
export type RunAsAdmin = <Result>(
  work: (session: NodePgDatabase) => Promise<Result>,
) => Promise<{ result: Result } | undefined>;

/**
 * Sessions for what takes longer than anything on the way of a request, apart from the pools and their
 * timeouts. Nothing is kept open between two changes.
 */
export function adminSessions(options: { databaseUrl: string; connectTimeoutMs: number }): RunAsAdmin {
  let open = 0;
  return async (work) => {
    if (open >= ADMIN_CONNECTIONS) return undefined;
    open++;
    try {
      const session = await openSession(
        { ...options, name: "sentinel-admin", statementTimeoutMs: STATEMENT_TIMEOUT_MS },
        () => undefined,
      );
      try {
        const result = await work(drizzle(session));
        await awaitStandbys(session);
        return { result };
      } finally {
        await session.end().catch(() => undefined);
      }
    } finally {
      open--;
    }
  };
}
