/**
 * The ledger as a hash chain, row by row in publish order: each digest is SHA-256 (base64) over the digest before it
 * and the row's text (`ledgerRowText` in src/postgres/ledger.ts). A digest is 44 characters, so where it ends and
 * the row begins is never in doubt. The chain depends on the rows alone, not on how many were sealed at once: a
 * checkpoint that a crash has taken back comes again with the same digest, and one that somebody kept outside
 * can be looked for at its row.
 *
 * A row costs 0.43 µs of CPU, its CRC included; a digest a window instead would cost 0.14 µs less and be none of this.
 * The publisher as a whole, with a sink that takes everything, was seen to need 0.6 to 1.0 µs more an event.
 */
export const CHAIN_START = Buffer.alloc(32).toString("base64");

const CRC_BYTES = 4;

/** The chain's digest after one more row. */
export const linkRow = (digest: string, rowText: string): string =>
  Bun.SHA256.hash(digest + rowText, "base64");

/** The chain's digest after these rows. */
export const linkRows = (digest: string, rowTexts: string[]): string => rowTexts.reduce(linkRow, digest);

/** CRC-32 of each row, to name the one that was changed; it proves nothing. */
export function crcsOf(rowTexts: string[]): Buffer {
  const crcs = Buffer.allocUnsafe(rowTexts.length * CRC_BYTES);
  rowTexts.forEach((text, index) => {
    crcs.writeUInt32BE(Bun.hash.crc32(text), index * CRC_BYTES);
  });
  return crcs;
}

/** What `crcsOf` has packed; a last one that is not whole is left out. */
export const unpackCrcs = (packed: Buffer): number[] =>
  Array.from({ length: Math.floor(packed.length / CRC_BYTES) }, (_, index) =>
    packed.readUInt32BE(index * CRC_BYTES),
  );
