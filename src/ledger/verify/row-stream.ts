import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { type Cursor, LEDGER_START, placeOf, readWholeLedger } from "../../postgres/ledger.ts";

/** 10,000 rows are 1.5 MB of text. */
const PAGE_ROWS = 10_000;

/** All rows of the ledger in publish order, as texts, read page by page; what comes next can be looked at first. */
export class RowStream {
  private buffer: string[] = [];
  private start = 0;
  private last: Cursor = LEDGER_START;
  private isThrough = false;

  constructor(private readonly session: NodePgDatabase) {}

  /** The next rows, at most `count`; fewer only at the end. */
  async peek(count: number): Promise<string[]> {
    while (this.buffer.length - this.start < count && !this.isThrough) await this.readPage();
    return this.buffer.slice(this.start, this.start + count);
  }

  skip(count: number): void {
    this.start = Math.min(this.start + count, this.buffer.length);
  }

  private async readPage(): Promise<void> {
    const page = await readWholeLedger(this.session, this.last, PAGE_ROWS);
    const last = page.at(-1);
    if (last === undefined) {
      this.isThrough = true;
      return;
    }
    this.last = placeOf(last);
    this.buffer = this.buffer.slice(this.start).concat(page);
    this.start = 0;
  }
}
