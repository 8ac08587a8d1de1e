import type { LedgerPosition } from "../postgres/ledger.ts";

/** No number of the database is longer than 64 bits; none gets near that in practice. */
export const POSITION_FORM = /^([1-9]\d{0,8})-(0|[1-9]\d{0,17})-(0|[1-9]\d{0,17})$/;

/** Formats a ledger position as the id of a server-sent event: `epoch-txid-id`. */
export const positionText = ({ epoch, txid, id }: LedgerPosition): string => `${epoch}-${txid}-${id}`;

/** @returns undefined if the text is not a ledger position */
export function parsePosition(text: string): LedgerPosition | undefined {
  const [, epoch, txid, id] = POSITION_FORM.exec(text) ?? [];
  return epoch && txid && id ? { epoch: Number(epoch), txid, id } : undefined;
}
