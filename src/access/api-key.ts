import crypto from "node:crypto";

/** Each may all that those before it may: look; take seats too; change the catalogue and the keys too. */
export const ROLES = ["reader", "seller", "admin"] as const;
export type Role = (typeof ROLES)[number];

/** What a key is for, in words of whoever makes it. */
export const NAME_LIMIT_CHARACTERS = 200;

/** The secret part: as many bits as the hash that is kept of it. */
const SECRET_BYTES = 32;

/** `sentinel_<id as 32 hex digits>_<32 random bytes in base64url>`; the prefix lets scanners find a leaked one. */
const SHAPE = /^sentinel_([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})_[\w-]{43}$/;

/** A new key: `key` is for its owner and is not kept anywhere, `keyHash` is what the database keeps. */
export function makeApiKey(): { id: string; key: string; keyHash: string } {
  const id = Bun.randomUUIDv7();
  const key = `sentinel_${id.replaceAll("-", "")}_${crypto.randomBytes(SECRET_BYTES).toString("base64url")}`;
  return { id, key, keyHash: hashOf(key).toString("hex") };
}

/** The id in a key, a UUID; undefined for what is no key at all. */
export function idOfApiKey(key: string): string | undefined {
  return SHAPE.exec(key)?.slice(1).join("-");
}

/** Whether this is the key that was hashed, in a time that does not depend on where they differ. */
export function isApiKey(key: string, keyHash: Buffer): boolean {
  const presented = hashOf(key);
  return presented.length === keyHash.length && crypto.timingSafeEqual(presented, keyHash);
}

export function mayAct(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

const hashOf = (key: string) => crypto.createHash("sha256").update(key).digest();
