import { type Finding, type Found, NAMED_LIMIT } from "../../postgres/proof.ts";

/** Collects what is found one by one: the first of each kind are kept, all are counted. */
export class Findings implements Found {
  readonly findings: Finding[] = [];
  readonly totals: Record<string, number> = {};

  add(finding: Finding): void {
    if (this.count(finding.what, 1) <= NAMED_LIMIT) this.findings.push(finding);
  }

  /** One of each of these versions, however many they are. */
  addVersions(finding: Finding, from: number, to: number): void {
    const named = Math.min(to, from + NAMED_LIMIT - 1);
    for (let version = from; version <= named; version++) this.add({ ...finding, version });
    if (to > named) this.count(finding.what, to - named);
  }

  /** @returns how many there are of the kind now. */
  private count(what: string, more: number): number {
    const total = (this.totals[what] ?? 0) + more;
    this.totals[what] = total;
    return total;
  }
}

/** `unproven`: nothing wrong was found, and not everything could be looked at. */
export type Verdict = "proven" | "damaged" | "unproven";

/** One thing that is proven, or not. */
export interface Proof {
  name: string;
  verdict: Verdict;
  /** How many of what were looked at, in words. */
  checked: string;
  /** Why it could not be proven, or what else is good to know. */
  note?: string;
  findings: Finding[];
  totals: Record<string, number>;
}

const totalOf = ({ totals }: Found): number => Object.values(totals).reduce((sum, total) => sum + total, 0);

/** @param unproven why nothing but the absence of findings can be told. */
export function proofOf(
  name: string,
  checked: string,
  found: Found,
  { note, unproven }: { note?: string | undefined; unproven?: string | undefined } = {},
): Proof {
  const verdict = totalOf(found) > 0 ? "damaged" : unproven === undefined ? "proven" : "unproven";
  const words = unproven ?? note;
  return {
    ...{ name, verdict, checked },
    ...(words !== undefined && { note: words }),
    ...{ findings: found.findings, totals: found.totals },
  };
}
