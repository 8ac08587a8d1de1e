/**
 * The digest before the first row of the ledger's hash chain.
 *
 * The chain goes row by row in publish order (docs/decisions/0010-hash-chain-by-row.md). Each digest is
 * SHA-256 (base64) over the previous digest and the row's text (`ledgerRowText` in src/postgres/ledger.ts). A
 * digest always has 44 characters, so the boundary between digest and row is unambiguous.
 */
export const CHAIN_START = Buffer.alloc(32).toString("base64");

const CRC_BYTES = 4;

/** Returns the digest after one more row. */
export const linkRow = (digest: string, rowText: string): string =>
  Bun.SHA256.hash(digest + rowText, "base64");

/** Returns the digest after these rows. */
export const linkRows = (digest: string, rowTexts: string[]): string => rowTexts.reduce(linkRow, digest);

/** Returns the CRC-32 of each row. The CRCs only identify the row that was changed; they prove nothing. */
export function crcsOf(rowTexts: string[]): Buffer {
  const crcs = Buffer.allocUnsafe(rowTexts.length * CRC_BYTES);
  rowTexts.forEach((text, index) => {
    crcs.writeUInt32BE(Bun.hash.crc32(text), index * CRC_BYTES);
  });
  return crcs;
}

/** Unpacks the result of `crcsOf`, ignoring an incomplete CRC at the end. */
export const unpackCrcs = (packed: Buffer): number[] =>
  Array.from({ length: Math.floor(packed.length / CRC_BYTES) }, (_, index) =>
    packed.readUInt32BE(index * CRC_BYTES),
  );
