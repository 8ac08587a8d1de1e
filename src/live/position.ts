import type { Cursor } from "../postgres/ledger.ts";

/** No number of the database is longer than 64 bits; none gets near that in practice. */
export const POSITION_FORM = /^([1-9]\d{0,8})-(0|[1-9]\d{0,17})-(0|[1-9]\d{0,17})$/;

/** Formats a ledger position as the id of a server-sent event: `epoch-txid-id`. */
export const positionText = ({ epoch, txid, id }: Cursor): string => `${epoch}-${txid}-${id}`;

/** @returns undefined if the text is not a ledger position */
export function parsePosition(text: string): Cursor | undefined {
  const [, epoch, txid, id] = POSITION_FORM.exec(text) ?? [];
  return epoch && txid && id ? { epoch: Number(epoch), txid, id } : undefined;
}

/** Returns a number below 0 if `a` comes before `b` in the ledger, above 0 if it comes after. */
export function comparePositions(a: Cursor, b: Cursor): number {
  return a.epoch - b.epoch || compareDigits(a.txid, b.txid) || compareDigits(a.id, b.id);
}

/** Compares numbers without leading zeros: the longer one is greater. */
function compareDigits(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : Number(a > b);
}
