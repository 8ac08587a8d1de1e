import { and, asc, eq, gt, inArray, isNull, sql } from "drizzle-orm";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { apiKeys } from "./schema.ts";

/** What is needed to know a key when it is presented. */
export interface StoredKey {
  id: string;
  role: (typeof apiKeys.$inferSelect)["role"];
  /** SHA-256 of the key, in hexadecimal. */
  keyHash: string;
  revokedAt: Date | null;
}

/** Those of the ids that there are, revoked ones too; by primary key. */
export function findApiKeys(database: NodePgDatabase, ids: string[]): Promise<StoredKey[]> {
  return database
    .select({ id: apiKeys.id, role: apiKeys.role, keyHash: apiKeys.keyHash, revokedAt: apiKeys.revokedAt })
    .from(apiKeys)
    .where(inArray(apiKeys.id, ids));
}

/** A key as its administrator sees it, without anything that opens. */
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

export async function addApiKey(
  database: NodePgDatabase,
  key: { id: string; name: string; role: StoredKey["role"]; keyHash: string },
): Promise<ApiKeyView> {
  const [added] = await database.insert(apiKeys).values(key).returning(view);
  if (!added) throw new Error("the key was not inserted");
  return added;
}

/** Revoked ones too, in the order of their ids, which is that of their making. */
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

/** Whether there is such a key; one that was revoked before keeps its time. */
export async function revokeApiKey(database: NodePgDatabase, id: string): Promise<boolean> {
  const revoked = await database
    .update(apiKeys)
    .set({ revokedAt: sql`now()` })
    .where(and(eq(apiKeys.id, id), isNull(apiKeys.revokedAt)))
    .returning({ id: apiKeys.id });
  return revoked.length > 0 || (await findApiKeys(database, [id])).length > 0;
}
