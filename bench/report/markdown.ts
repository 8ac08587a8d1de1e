import { agrees, type Tally } from "./checks.ts";
import { columnsFor, whole } from "./columns.ts";
import type { Report } from "./report.ts";
import { NAMES, rowsOf } from "./rows.ts";

/** Returns the run as markdown: the machine, a table for each scenario, and what was counted afterwards. */
export function printReport({ machine, scenarios, measurements, checks, failures }: Report): string {
  const sections = [machine.map((line) => `- ${line}`).join("\n")];
  for (const { name, title, unit } of scenarios) {
    const rows = rowsOf(measurements, name);
    if (rows.length === 0) continue;
    const columns = columnsFor(rows, unit);
    sections.push(
      `### ${title}`,
      table(
        columns.map(({ heading }) => heading),
        rows.map((row) => columns.map(({ cell }) => cell(row))),
      ),
    );
  }
  if (checks.length > 0)
    sections.push("### Counted afterwards", table(CHECK_HEADINGS, checks.map(checkCells)));
  const faults = [...failures, ...checks.flatMap(({ faults }) => faults)];
  if (faults.length > 0) sections.push("### What went wrong", faults.map((fault) => `- ${fault}`).join("\n"));
  return sections.join("\n\n");
}

export const CHECK_HEADINGS = [
  ...["scenario", "who", "changes promised by answers", "rows in the ledger", "events published", "agree"],
];

export const checkCells = (tally: Tally): string[] => [
  ...[tally.scenario, NAMES[tally.server], whole(tally.accepted), whole(tally.ledgerRows)],
  whole(tally.published ?? Number.NaN),
  agrees(tally)
    ? tally.uncountedLimit > 0
      ? `yes (up to ${whole(tally.uncountedLimit)} more were under way when a load ended)`
      : "yes, exactly"
    : "**NO**",
];

function table(headings: string[], rows: string[][]): string {
  const lines = [headings, headings.map((_, index) => (index === 0 ? "---" : "---:")), ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
