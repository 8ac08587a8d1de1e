import { and, asc, eq, gt, inArray, isNull, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { type ActOrigin, recordAct } from "./admin-log.ts";
import type { Transaction } from "./kept-answers.ts";
import { apiKeys } from "./schema.ts";

/** The stored data that recognizes a key. */
export interface StoredKey {
  id: string;
  role: (typeof apiKeys.$inferSelect)["role"];
  /** SHA-256 of the key, in hexadecimal. */
  keyHash: string;
  revokedAt: Date | null;
}

/** Returns the keys that exist among these ids, including revoked ones. */
export function findApiKeys(database: NodePgDatabase | Transaction, ids: string[]): Promise<StoredKey[]> {
  return database
    .select({ id: apiKeys.id, role: apiKeys.role, keyHash: apiKeys.keyHash, revokedAt: apiKeys.revokedAt })
    .from(apiKeys)
    .where(inArray(apiKeys.id, ids));
}

/** A key as its administrator sees it, without any secret. */
export interface ApiKeyView {
  keyId: string;
  name: string;
  role: StoredKey["role"];
  createdAt: Date;
  revokedAt: Date | null;
}

const view = {
  keyId: apiKeys.id,
  name: apiKeys.name,
  role: apiKeys.role,
  createdAt: apiKeys.createdAt,
  revokedAt: apiKeys.revokedAt,
};

/** Stores the key, and records its creator in the administration log. */
export function addApiKey(
  database: NodePgDatabase,
  key: { id: string; name: string; role: StoredKey["role"]; keyHash: string },
  origin: ActOrigin,
): Promise<ApiKeyView> {
  return database.transaction(async (tx) => {
    const [added] = await tx.insert(apiKeys).values(key).returning(view);
    if (!added) throw new Error("the key was not inserted");
    const { id: keyId, name, role } = key;
    await recordAct(tx, origin, "api-key.created", { keyId, name, role });
    return added;
  });
}

/** Lists keys, including revoked ones, in the order of their ids, which is the order of their creation. */
export function listApiKeys(
  database: NodePgDatabase,
  { after, limit }: { after: string | undefined; limit: number },
): Promise<ApiKeyView[]> {
  return database
    .select(view)
    .from(apiKeys)
    .where(after === undefined ? undefined : gt(apiKeys.id, after))
    .orderBy(asc(apiKeys.id))
    .limit(limit);
}

/**
 * Revokes a key. An already revoked key keeps its time.
 * @returns whether the key exists
 */
export function revokeApiKey(database: NodePgDatabase, id: string, origin: ActOrigin): Promise<boolean> {
  return database.transaction(async (tx) => {
    const revoked = await tx
      .update(apiKeys)
      .set({ revokedAt: sql`now()` })
      .where(and(eq(apiKeys.id, id), isNull(apiKeys.revokedAt)))
      .returning({ id: apiKeys.id });
    if (revoked.length > 0) await recordAct(tx, origin, "api-key.revoked", { keyId: id });
    return revoked.length > 0 || (await findApiKeys(tx, [id])).length > 0;
  });
}
