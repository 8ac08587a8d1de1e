import { type Finding, type Found, NAMED_LIMIT, type Rule } from "../rules/rule.ts";

/** The place of a violation, and its values. */
type At = Omit<Finding, "what">;

/** Collects violations one by one: the first of each rule are kept, all are counted. */
export class Findings implements Found {
  readonly findings: Finding[] = [];
  readonly totals: Record<string, number> = {};

  add({ finding: what }: Rule, at: At): void {
    if (this.count(what, 1) <= NAMED_LIMIT) this.findings.push({ what, ...at });
  }

  /** Adds one violation for each of these versions, however many there are. */
  addVersions(rule: Rule, seatId: string, from: number, to: number): void {
    const named = Math.min(to, from + NAMED_LIMIT - 1);
    for (let version = from; version <= named; version++) this.add(rule, { seatId, version });
    if (to > named) this.count(rule.finding, to - named);
  }

  /** Returns how often the rule was broken. */
  totalOf({ finding }: Rule): number {
    return this.totals[finding] ?? 0;
  }

  /** @returns the rule's total */
  private count(what: string, more: number): number {
    const total = (this.totals[what] ?? 0) + more;
    this.totals[what] = total;
    return total;
  }
}

/** `unproven`: nothing wrong was found, but not everything could be checked. */
export type Verdict = "proven" | "damaged" | "unproven";

/** The result of one proof. */
export interface Proof {
  name: string;
  verdict: Verdict;
  /** The checked items and their number, in words. */
  checked: string;
  /** Why it could not be proven, or other useful information. */
  note?: string;
  findings: Finding[];
  totals: Record<string, number>;
}

const totalOf = ({ totals }: Found): number => Object.values(totals).reduce((sum, total) => sum + total, 0);

/** @param unproven the reason why only the absence of findings is certain */
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
