import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { appendCheckpoint, type ChainHead, readChainHead } from "../postgres/checkpoints.ts";
import {
  isBefore,
  LEDGER_START,
  type LedgerPosition,
  positionOf,
  ROW_FORM,
  readLedger,
} from "../postgres/ledger.ts";
import { CHAIN_START, crcsOf, linkRows } from "./chain.ts";

/** `behind`: more rows wait to be sealed; `overtaken`: another session seals, so this one no longer leads. */
export type Sealing = "sealed" | "behind" | "overtaken";

/**
 * Chains the ledger's rows, including the acts of administrators, into checkpoints. It uses the publisher's
 * session and seals rows before they are sent, so everything published is sealed. It also uses the
 * publisher's order and horizon (`settledAfter`), so no row can appear between sealed rows later.
 *
 * The publisher's windows and the end of the chain may differ:
 * - the chain ends before or among the rows: the unsealed rows are sealed as they were read;
 * - a new sink starts in the middle of the chain: its rows are already sealed;
 * - a database published before it had a chain: the chain continues from its own end, a window at a time, and
 *   publishing does not wait for it.
 *
 * The seal is committed before the cursor moves, on the same session. A database crash that undoes a seal
 * therefore also undoes the move of the cursor.
 */
export class Sealer {
  private head: ChainHead | undefined;

  constructor(
    private readonly session: NodePgDatabase,
    private readonly windowLimitRows: number,
  ) {}

  /**
   * Seals those of the rows that are not sealed yet, or continues from the chain's end if that is before the
   * cursor.
   */
  async seal(cursor: LedgerPosition, rowTexts: string[]): Promise<Sealing> {
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
      ...positionOf(last),
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

/** Counts the rows after the cursor that the chain already contains; almost always 0. */
function sealedCount(head: ChainHead, cursor: LedgerPosition, rowTexts: string[]): number {
  if (!isBefore(cursor, head)) return 0;
  const first = rowTexts.findIndex((text) => isBefore(head, positionOf(text)));
  return first === -1 ? rowTexts.length : first;
}
