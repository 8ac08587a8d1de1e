import { existsSync, readFileSync } from "node:fs";
import { dirname, relative } from "node:path";
import type { GroupResult } from "./group.ts";

/** Counts the outcomes of all groups. */
export class Tally {
  passed = 0;
  failed = 0;
  readonly skipped = new Map<string, number>();

  /** @returns one line about the group. */
  add(group: string[], { passed, failed, skipped, seconds }: GroupResult): string {
    this.passed += passed;
    this.failed += failed;
    for (const [file, count] of skipped) this.skipped.set(file, count);
    const files = `${dirname(group[0] ?? "")} (${group.length} ${group.length === 1 ? "file" : "files"})`;
    const skips = [...skipped.values()].reduce((sum, count) => sum + count, 0);
    const rest = `${failed > 0 ? `, ${failed} FAILED` : ""}${skips > 0 ? `, ${skips} skipped` : ""}`;
    return `${files.padEnd(36)} ${passed} passed${rest}, ${seconds.toFixed(0)} s`;
  }
}

/** The reasons for skips by file, as `test/fixtures/parts.ts` has written them. */
export function readSkips(path: string, root: string): Map<string, Set<string>> {
  const reasons = new Map<string, Set<string>>();
  if (!existsSync(path)) return reasons;
  for (const line of readFileSync(path, "utf8").split("\n").filter(Boolean)) {
    const { file, reason }: { file: string; reason: string } = JSON.parse(line);
    const known = reasons.get(relative(root, file)) ?? new Set();
    reasons.set(relative(root, file), known.add(reason));
  }
  return reasons;
}

/**
 * The last lines of a run: each reason for a skip once, with its count, what was left out, then the line that CI reads.
 * A test that is skipped without a reason counts as a failure.
 */
export function closingBlock(
  { passed, failed, skipped }: Pick<Tally, "passed" | "failed" | "skipped">,
  reasons: Map<string, Set<string>>,
  ms: number,
  leftOut: string[] = [],
): { text: string; isGreen: boolean } {
  const counts = new Map<string, number>();
  let unexplained = 0;
  let skips = 0;
  for (const [file, count] of skipped) {
    skips += count;
    const known = [...(reasons.get(file) ?? [])];
    if (known.length === 0) unexplained += count;
    const reason = known.length > 0 ? known.join("; ") : `NO REASON GIVEN in ${file}`;
    counts.set(reason, (counts.get(reason) ?? 0) + count);
  }
  const failures = failed + unexplained;
  const rows = [...counts]
    .sort(([, one], [, other]) => other - one)
    .map(([reason, count]) => `${String(count).padStart(6)} skipped: ${reason}`);
  const total = `${passed} passed, ${failures} failed${skips > 0 ? `, ${skips} skipped` : ""}`;
  const took = `       took ${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
  const others = leftOut.map((what) => `       left out: ${what}`);
  return { text: ["", ...rows, ...others, took, total].join("\n"), isGreen: failures === 0 };
}
