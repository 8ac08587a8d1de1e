import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { CHAIN_START, crcsOf, linkRows, unpackCrcs } from "../../ledger/chain.ts";
import { type Checkpoint, readCheckpointsAfter } from "../../postgres/checkpoints.ts";
import {
  isAct,
  isBefore,
  LEDGER_START,
  type LedgerPosition,
  parseLedgerRow,
  positionOf,
} from "../../postgres/ledger.ts";
import type { Rule } from "../rules/rule.ts";
import { chainRules } from "../rules/sealed-rules.ts";
import { type Alteration, alteredRows } from "./altered-rows.ts";
import { Findings, type Proof, proofOf } from "./findings.ts";
import { RowStream } from "./row-stream.ts";

/** A position of the chain that was recorded outside the database: its digest after this many rows. */
export interface Anchor {
  rowsTotal: number;
  /** Base64. */
  digest: string;
}

const PAGE_CHECKPOINTS = 500;
/** No publisher seals more at once. A changed checkpoint that claims more is not read into memory. */
const WINDOW_LIMIT_ROWS = 100_000;

export interface ChainProof {
  proof: Proof;
  /** The current end of the chain; undefined before its first checkpoint, and if it is damaged. */
  head: Anchor | undefined;
}

/**
 * Proves the chain from its first row: every checkpoint follows from the one before it and the current rows.
 * If one does not, the CRCs identify the rows; if they cannot, the checkpoint is named.
 *
 * @param published how far any sink has the ledger; what was published must be sealed
 * @param anchors must be found in the chain. The database's owner can compute the chain again, but cannot
 * change what is kept elsewhere
 */
export async function proveChain(
  session: NodePgDatabase,
  { published, anchors }: { published: LedgerPosition | undefined; anchors: Anchor[] },
): Promise<ChainProof> {
  const walk = new ChainWalk(session, anchors);
  await walk.toEnd();
  const { number, end, findings } = walk;
  const isBehind = published !== undefined && isBefore(walk.position, published);
  const proof = proofOf(
    "chain",
    `${end.rowsTotal} rows in ${number} checkpoints, acts of administrators included`,
    findings,
    {
      note: noteOf(walk),
      unproven: isBehind
        ? "rows were published that are not sealed: a publisher that was just upgraded is catching up; where that is not so, the end of the chain was taken away"
        : undefined,
    },
  );
  return { proof, head: number > 0 && proof.verdict !== "damaged" ? end : undefined };
}

function noteOf({ unsealedCount, leftOutCount, shortenedCount }: ChainWalk): string | undefined {
  const notes = [
    ...(unsealedCount > 0 ? [`the newest ${unsealedCount} rows are not sealed yet`] : []),
    ...(leftOutCount > 0
      ? [
          `${leftOutCount} acts of administrators are not sealed: an engine of an older version published then`,
        ]
      : []),
    ...(shortenedCount > 0
      ? [
          `the newest columns of ${shortenedCount} rows are not sealed: an engine of an older version published then`,
        ]
      : []),
  ];
  return notes.length > 0 ? notes.join("; ") : undefined;
}

class ChainWalk {
  readonly findings = new Findings();
  number = 0;
  position: LedgerPosition = LEDGER_START;
  end: Anchor = { rowsTotal: 0, digest: CHAIN_START };
  unsealedCount = 0;
  /** Acts among rows that were sealed by an engine too old to know acts. */
  leftOutCount = 0;
  /** Rows with a value in a column that is newer than the engine which sealed them. */
  shortenedCount = 0;
  /** The digest computed from the rows; it differs from `end`'s if a row or a digest was changed. */
  private computed = CHAIN_START;
  private readonly rows: RowStream;
  private readonly wanted: Set<Anchor>;

  constructor(
    private readonly session: NodePgDatabase,
    anchors: Anchor[],
  ) {
    this.rows = new RowStream(session);
    this.wanted = new Set(anchors);
  }

  async toEnd(): Promise<void> {
    for (;;) {
      const page = await readCheckpointsAfter(this.session, this.number, PAGE_CHECKPOINTS);
      for (const checkpoint of page) await this.check(checkpoint);
      if (page.length < PAGE_CHECKPOINTS) break;
    }
    for (const { rowsTotal, digest } of this.wanted) {
      this.findings.add(chainRules.lostAnchor, {
        detail: `${rowsTotal}:${digest}; it has ${this.end.rowsTotal} rows now`,
      });
    }
    await this.countUnsealed();
  }

  private async countUnsealed(): Promise<void> {
    for (;;) {
      const rowTexts = await this.rows.peek(WINDOW_LIMIT_ROWS);
      if (rowTexts.length === 0) return;
      this.unsealedCount += rowTexts.length;
      this.rows.skip(rowTexts.length);
      if (this.findings.totalOf(chainRules.deleted) === 0) continue;
      for (const text of rowTexts) {
        const { act, ...seat } = identityOf(text);
        this.findings.add(chainRules.moved, { ...seat, ...(act !== undefined && { detail: act }) });
      }
    }
  }

  private async check(checkpoint: Checkpoint): Promise<void> {
    const sealed = unpackCrcs(checkpoint.rowDigests);
    const start = checkpoint.rowsTotal - sealed.length;
    if (checkpoint.number !== this.number + 1) await this.stepOver(checkpoint, start);
    if (
      sealed.length !== checkpoint.rowCount ||
      checkpoint.rowsTotal !== this.end.rowsTotal + checkpoint.rowCount
    )
      this.blame(checkpoint, chainRules.miscounted);

    const followed = await this.follow(checkpoint, [sealed.length, checkpoint.rowCount]);
    if (followed) this.accept(checkpoint, followed, start);
    else await this.nameAltered(checkpoint, sealed);
    this.number = checkpoint.number;
    this.position = checkpoint;
    this.end = { rowsTotal: checkpoint.rowsTotal, digest: checkpoint.digest };
  }

  /** Returns the rows that the checkpoint follows from, if any: as many as it says, or up to its position. */
  private async follow(
    { digest, rowForm, ...position }: Checkpoint,
    counts: number[],
  ): Promise<{ rowTexts: string[]; from: string } | undefined> {
    const starts = new Set([this.end.digest, this.computed]);
    for (const count of new Set([...counts, await this.countUpTo(position, counts[0] ?? 0, rowForm)])) {
      if (count > WINDOW_LIMIT_ROWS) continue;
      const rowTexts = await this.rows.peek(count, rowForm);
      for (const from of starts) if (linkRows(from, rowTexts) === digest) return { rowTexts, from };
    }
    return undefined;
  }

  private accept(
    checkpoint: Checkpoint,
    followed: { rowTexts: string[]; from: string },
    start: number,
  ): void {
    const { rowTexts, from } = followed;
    const last = rowTexts.at(-1);
    const position = last === undefined ? LEDGER_START : positionOf(last);
    if (isBefore(position, checkpoint) || isBefore(checkpoint, position))
      this.blame(checkpoint, chainRules.otherEnd);
    if (!crcsOf(rowTexts).equals(checkpoint.rowDigests)) this.blame(checkpoint, chainRules.otherDigests);
    this.lookForAnchors(rowTexts, from, start);
    this.skip(rowTexts.length, checkpoint.rowForm);
    this.computed = checkpoint.digest;
  }

  private async nameAltered(checkpoint: Checkpoint, sealed: number[]): Promise<void> {
    const { rowForm } = checkpoint;
    const rowTexts = await this.rows.peek(await this.countUpTo(checkpoint, sealed.length, rowForm), rowForm);
    const alterations = alteredRows(sealed, rowTexts);
    for (const alteration of alterations) this.nameAlteration(alteration, checkpoint.number);
    if (alterations.length === 0) this.blame(checkpoint, chainRules.altered);
    this.skip(rowTexts.length, rowForm);
    this.computed = linkRows(this.end.digest, rowTexts);
    // The digest still proves what the rows were when they were sealed.
    for (const anchor of this.wanted)
      if (anchor.digest === checkpoint.digest && anchor.rowsTotal === checkpoint.rowsTotal)
        this.wanted.delete(anchor);
  }

  /** Continues over missing checkpoints. The next checkpoint says how many rows they had. */
  private async stepOver({ number, rowForm }: Checkpoint, start: number): Promise<void> {
    this.findings.add(chainRules.missing, {
      detail: `${this.number + 1} to ${number - 1}, of ${start - this.end.rowsTotal} rows`,
    });
    for (let left = start - this.end.rowsTotal; left > 0; ) {
      const rowTexts = await this.rows.peek(Math.min(left, WINDOW_LIMIT_ROWS), rowForm);
      if (rowTexts.length === 0) return;
      this.lookForAnchors(rowTexts, this.end.digest, this.end.rowsTotal);
      this.skip(rowTexts.length, rowForm);
      left -= rowTexts.length;
      this.computed = linkRows(this.end.digest, rowTexts);
      this.end = { rowsTotal: this.end.rowsTotal + rowTexts.length, digest: this.computed };
    }
  }

  private lookForAnchors(rowTexts: string[], from: string, start: number): void {
    for (const anchor of this.wanted) {
      const count = anchor.rowsTotal - start;
      if (count < 1 || count > rowTexts.length) continue;
      if (linkRows(from, rowTexts.slice(0, count)) === anchor.digest) this.wanted.delete(anchor);
    }
  }

  /** Counts the next rows that are not after the position. */
  private async countUpTo(position: LedgerPosition, expected: number, rowForm: number): Promise<number> {
    for (let looked = Math.min(expected, WINDOW_LIMIT_ROWS) + 1; ; looked *= 2) {
      const rowTexts = await this.rows.peek(Math.min(looked, WINDOW_LIMIT_ROWS), rowForm);
      const behind = rowTexts.findIndex((text) => isBefore(position, positionOf(text)));
      if (behind !== -1) return behind;
      if (rowTexts.length < looked) return rowTexts.length;
    }
  }

  private skip(count: number, rowForm: number): void {
    const { leftOut, shortened } = this.rows.skip(count, rowForm);
    this.leftOutCount += leftOut;
    this.shortenedCount += shortened;
  }

  private blame({ number }: Checkpoint, rule: Rule): void {
    this.findings.add(rule, { detail: `checkpoint ${number}` });
  }

  private nameAlteration(alteration: Alteration, number: number): void {
    if (alteration.kind === "deleted") {
      this.findings.add(chainRules.deleted, { detail: whereDeleted(alteration.after, number) });
      return;
    }
    const [ofRow, ofAct] = RULES_BY_KIND[alteration.kind];
    const { act, ...seat } = identityOf(alteration.rowText);
    if (act === undefined) this.findings.add(ofRow, { ...seat, detail: `in checkpoint ${number}` });
    else this.findings.add(ofAct, { detail: `${act}, in checkpoint ${number}` });
  }
}

/** The rules that an altered ledger row breaks, and those of an altered act. */
const RULES_BY_KIND = {
  changed: [chainRules.changed, chainRules.changedAct],
  added: [chainRules.added, chainRules.addedAct],
} as const;

/** Identifies a row: a seat's row by seat and version, an act by its id in words. */
function identityOf(rowText: string): { seatId?: string; version?: number; act?: string } {
  if (isAct(rowText)) return { act: `act ${positionOf(rowText).id}` };
  const { seatId, version } = parseLedgerRow(rowText);
  return { seatId, version };
}

/** Describes where a row was deleted. Nothing shows any more whether it was a seat's row or an act. */
function whereDeleted(after: string | undefined, number: number): string {
  if (after === undefined) return `the first of checkpoint ${number}`;
  const { act, seatId, version } = identityOf(after);
  return `in checkpoint ${number}, after ${act ?? `the row of seat ${seatId}, version ${version}`}`;
}
