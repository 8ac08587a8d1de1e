import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import {
  inForm,
  isShortened,
  LEDGER_START,
  type LedgerPosition,
  positionOf,
  ROW_FORM,
  readWholeLedger,
} from "../../postgres/ledger.ts";

/** 10,000 rows are 1.5 MB of text. */
const PAGE_ROWS = 10_000;

/**
 * All seat rows and acts of the ledger in publish order, as texts. It reads page by page and can peek at the
 * next rows.
 */
export class RowStream {
  private buffer: string[] = [];
  private start = 0;
  private isThrough = false;

  /** Starts after the position `last`. */
  constructor(
    private readonly session: NodePgDatabase,
    private last: LedgerPosition = LEDGER_START,
    private readonly pageRows = PAGE_ROWS,
  ) {}

  /** Returns the next rows in that form, at most `count`; fewer only at the end. */
  async peek(count: number, form = ROW_FORM): Promise<string[]> {
    for (;;) {
      const { rowTexts } = this.look(count, form);
      if (rowTexts.length === count || this.isThrough) return rowTexts;
      await this.readPage();
    }
  }

  /**
   * Skips rows that were peeked at.
   * @returns how many rows before or between them the form omits, and for how many it omits a column's value
   */
  skip(count: number, form = ROW_FORM): { leftOut: number; shortened: number } {
    const { rowTexts, passed } = this.look(count, form);
    const skipped = form === ROW_FORM ? [] : this.buffer.slice(this.start, this.start + passed);
    this.start += passed;
    return {
      leftOut: passed - rowTexts.length,
      shortened: skipped.filter((text) => isShortened(form, text)).length,
    };
  }

  private look(count: number, form: number): { rowTexts: string[]; passed: number } {
    if (form === ROW_FORM) {
      const rowTexts = this.buffer.slice(this.start, this.start + count);
      return { rowTexts, passed: rowTexts.length };
    }
    const rowTexts: string[] = [];
    let passed = 0;
    for (let index = this.start; index < this.buffer.length && rowTexts.length < count; index++) {
      const rowText = inForm(form, this.buffer[index] ?? "");
      if (rowText === undefined) continue;
      rowTexts.push(rowText);
      passed = index + 1 - this.start;
    }
    return { rowTexts, passed };
  }

  private async readPage(): Promise<void> {
    const page = await readWholeLedger(this.session, this.last, this.pageRows);
    const last = page.at(-1);
    if (last === undefined) {
      this.isThrough = true;
      return;
    }
    this.last = positionOf(last);
    this.buffer = this.buffer.slice(this.start).concat(page);
    this.start = 0;
  }
}
