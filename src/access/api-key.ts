import crypto from "node:crypto";

/** Longest name that says what a key is for. */
export const NAME_LIMIT_CHARACTERS = 200;

/** The secret part has as many bits as its stored hash. */
const SECRET_BYTES = 32;

/** `sentinel_<id as 32 hex digits>_<32 random bytes in base64url>`. The prefix lets scanners find a leaked key. */
const SHAPE = /^sentinel_([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})_[\w-]{43}$/;

/** Generates a key. Only its owner gets `key`; the database stores `keyHash`. */
export function makeApiKey(): { id: string; key: string; keyHash: string } {
  const id = Bun.randomUUIDv7();
  const key = `sentinel_${id.replaceAll("-", "")}_${crypto.randomBytes(SECRET_BYTES).toString("base64url")}`;
  return { id, key, keyHash: hashOf(key).toString("hex") };
}

/** Returns the id in a key, a UUID; undefined if the text is not a key. */
export function idOfApiKey(key: string): string | undefined {
  return SHAPE.exec(key)?.slice(1).join("-");
}

/** Returns whether the key has this hash, in a time that does not depend on where they differ. */
export function isApiKey(key: string, keyHash: Buffer): boolean {
  const presented = hashOf(key);
  return presented.length === keyHash.length && crypto.timingSafeEqual(presented, keyHash);
}

const hashOf = (key: string) => crypto.createHash("sha256").update(key).digest();
