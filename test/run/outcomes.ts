/** The results of one `bun test` process. */
export interface Outcomes {
  passed: number;
  failed: number;
  /** The number of skipped tests by file. */
  skipped: Map<string, number>;
  /** Each failure with its file and the lines that explain it. */
  failures: string[];
}

const FILE = /^(\S+\.test\.ts):$/;
const RESULT = /^\((pass|fail|skip|todo)\) /;
/** At the end of a long report Bun lists the failed and skipped tests once more. */
const REPEATED = /^\d+ tests? (failed|skipped|todo):$/;
/** Bun prints this where a file throws outside of its tests, or a hook after the last test does. */
const OUTSIDE = "# Unhandled error between tests";
const SHOWN_LINES = 60;

/**
 * Reads Bun's report: a line with the file's name, then for each test its failure, if any, and a line with its result. A
 * process that exits with an error without naming a failed test counts as one failure.
 */
export function collectOutcomes(report: string, exitCode: number): Outcomes {
  const outcomes: Outcomes = { passed: 0, failed: 0, skipped: new Map(), failures: [] };
  let file = "";
  let told: string[] = [];
  const failed = (lines: string[]) => {
    outcomes.failed++;
    outcomes.failures.push([`--- ${file}`, ...lines.slice(-SHOWN_LINES)].join("\n"));
  };
  for (const line of report.split("\n")) {
    if (REPEATED.test(line)) break;
    const named = FILE.exec(line)?.[1];
    const result = RESULT.exec(line)?.[1];
    if (named === undefined && result === undefined) {
      told.push(line);
      continue;
    }
    if (told.includes(OUTSIDE)) failed(told);
    if (named !== undefined) file = named;
    if (result === "pass") outcomes.passed++;
    if (result === "fail") failed([...told, line]);
    if (result === "skip" || result === "todo")
      outcomes.skipped.set(file, (outcomes.skipped.get(file) ?? 0) + 1);
    told = [];
  }
  if (told.includes(OUTSIDE) || (exitCode !== 0 && outcomes.failed === 0))
    failed([...told, `bun test ended with exit code ${exitCode}`]);
  return outcomes;
}
