import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { appendCheckpoint, type ChainHead, readChainHead } from "../postgres/checkpoints.ts";
import { type Cursor, isBefore, LEDGER_START, placeOf, ROW_FORM, readLedger } from "../postgres/ledger.ts";
import { CHAIN_START, crcsOf, linkRows } from "./chain.ts";

/** `behind`: some rows are left to seal; `overtaken`: another session seals, and this one is not the leader any more. */
export type Sealing = "sealed" | "behind" | "overtaken";

/**
 * Chains the ledger's rows, and the acts of administrators among them, into checkpoints, on the session that publishes
 * and before it sends them: what was published is sealed. Order and horizon are the publisher's own (`settledAfter`), so
 * that what is sealed can never get a row in between.
 *
 * The publisher's windows and the chain need not be at the same place. Its rows are sealed as they were read
 * where the chain ends among or before them; a new sink's begin in the middle of the chain; and a database that
 * published before there was a chain is behind: then the chain goes on from its own end, a window at a time, and
 * publishing does not wait for it.
 *
 * A seal is committed before the cursor moves, by the same session: a crash of the database that takes back the
 * one has taken back the other.
 */
export class Sealer {
  private head: ChainHead | undefined;

  constructor(
    private readonly session: NodePgDatabase,
    private readonly windowLimitRows: number,
  ) {}

  /** Seals what of these rows is not yet, or goes on from the chain's end where that lies before the cursor. */
  async seal(cursor: Cursor, rowTexts: string[]): Promise<Sealing> {
    const head = await this.findHead();
    if (isBefore(head, cursor)) return this.goOn();
    return this.append(head, rowTexts.slice(sealedCount(head, cursor, rowTexts)));
  }

  /** Seals the next window after the chain's end. */
  async goOn(): Promise<Sealing> {
    const head = await this.findHead();
    const rowTexts = await readLedger(this.session, head, this.windowLimitRows);
    const sealing = await this.append(head, rowTexts);
    return sealing === "sealed" && rowTexts.length === this.windowLimitRows ? "behind" : sealing;
  }

  private async findHead(): Promise<ChainHead> {
    this.head ??= (await readChainHead(this.session)) ?? {
      ...LEDGER_START,
      ...{ number: 0, rowsTotal: 0, digest: CHAIN_START },
    };
    return this.head;
  }

  private async append(head: ChainHead, rowTexts: string[]): Promise<Sealing> {
    const last = rowTexts.at(-1);
    if (last === undefined) return "sealed";
    const next = {
      ...placeOf(last),
      number: head.number + 1,
      rowsTotal: head.rowsTotal + rowTexts.length,
      digest: linkRows(head.digest, rowTexts),
    };
    const checkpoint = {
      ...next,
      rowCount: rowTexts.length,
      rowDigests: crcsOf(rowTexts),
      rowForm: ROW_FORM,
    };
    if (!(await appendCheckpoint(this.session, checkpoint))) return "overtaken";
    this.head = next;
    return "sealed";
  }
}

/** How many of the rows, which follow the cursor, the chain has already; almost always none. */
function sealedCount(head: ChainHead, cursor: Cursor, rowTexts: string[]): number {
  if (!isBefore(cursor, head)) return 0;
  const first = rowTexts.findIndex((text) => isBefore(head, placeOf(text)));
  return first === -1 ? rowTexts.length : first;
}
