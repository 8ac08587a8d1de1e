import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { openSession } from "./connect.ts";
import { awaitStandbys } from "./standbys.ts";

/**
 * Limit for one statement of an admin's change. A million seats take many statements, and one admin waits for
 * another.
 */
const STATEMENT_TIMEOUT_MS = 60_000;

/** Runs work on a separate database session; resolves to undefined if too many run already. */
export type RunAsAdmin = <Result>(
  work: (session: NodePgDatabase) => Promise<Result>,
) => Promise<{ result: Result } | undefined>;

export interface AdminSessionOptions {
  databaseUrl: string;
  connectTimeoutMs: number;
  /** Sessions at the same time; one more is refused. */
  connectionLimit: number;
}

/**
 * Opens sessions for work that takes longer than a request may, apart from the pools and their timeouts.
 * Nothing stays open between two changes.
 */
export function adminSessions({ connectionLimit, ...options }: AdminSessionOptions): RunAsAdmin {
  let open = 0;
  return async (work) => {
    if (open >= connectionLimit) return undefined;
    open++;
    try {
      const session = await openSession(
        { ...options, name: "sentinel-admin", statementTimeoutMs: STATEMENT_TIMEOUT_MS },
        () => undefined,
      );
      try {
        const result = await work(session);
        await awaitStandbys(session.$client);
        return { result };
      } finally {
        await session.$client.end().catch(() => undefined);
      }
    } finally {
      open--;
    }
  };
}
