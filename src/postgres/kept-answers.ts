import { sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { type KeyClaim, keyIsAlive } from "./claims.ts";
import { rowsOf } from "./query.ts";

export type Transaction = Parameters<Parameters<NodePgDatabase["transaction"]>[0]>[0];

/** A response as it was sent. */
export interface KeptAnswer {
  status: number;
  body: string;
}

/**
 * Runs `make` once per key, or every time without a key. A successful response (2xx) is stored in the same
 * transaction and replayed for the same request (docs/decisions/0015-kept-answers.md). The caller holds a
 * lock that keeps two requests with the same key apart.
 * @returns `key_mismatch` if the key was used for another request
 */
export async function once(
  tx: Transaction,
  claim: KeyClaim | null,
  make: () => Promise<KeptAnswer>,
): Promise<(KeptAnswer & { isReplay: boolean }) | "key_mismatch"> {
  if (!claim) return { ...(await make()), isReplay: false };
  const { scope, key, fingerprint } = claim;
  const [kept] = await rowsOf<KeptAnswer & { fingerprint: string }>(
    tx,
    sql`select fingerprint, status, body from idempotency_keys k
        where scope = ${scope} and key = ${key} and ${keyIsAlive("k")}`,
  );
  if (kept && kept.fingerprint !== fingerprint) return "key_mismatch";
  if (kept) return { status: kept.status, body: kept.body, isReplay: true };
  const answer = await make();
  if (answer.status < 300) {
    await tx.execute(sql`
      insert into idempotency_keys (scope, key, fingerprint, status, body)
      values (${scope}, ${key}, ${fingerprint}, ${answer.status}, ${answer.body})
      on conflict (scope, key) do update
      set fingerprint = excluded.fingerprint, status = excluded.status, body = excluded.body, reservation_id = null,
          expires_at = null, created_at = now()`);
  }
  return { ...answer, isReplay: false };
}
