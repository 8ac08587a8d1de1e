import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { cpuBars, latencyRanges, nameOf, rateBars } from "./bars.ts";
import { agrees } from "./checks.ts";
import { columnsFor } from "./columns.ts";
import { escapeHtml, scriptJson } from "./html.ts";
import { CHECK_HEADINGS, checkCells } from "./markdown.ts";
import type { Report } from "./report.ts";
import { type Row, rowsOf } from "./rows.ts";

const UPLOT = join(dirname(Bun.resolveSync("uplot/package.json", import.meta.dir)), "dist");
/** A line through fewer points is meaningless. */
const FEWEST_SAMPLES = 3;

interface Plot {
  id: string;
  unit: string;
  series: { name: string; times: number[]; rates: number[] }[];
}

/** Renders the run as one page that needs nothing from the network: plots, tables, and all measurements. */
export async function renderPage(report: Report): Promise<string> {
  const read = (path: string) => readFile(path, "utf8");
  const [library, libraryStyle, style, script] = await Promise.all([
    ...[read(join(UPLOT, "uPlot.iife.min.js")), read(join(UPLOT, "uPlot.min.css"))],
    ...[read(join(import.meta.dir, "page.css")), read(join(import.meta.dir, "charts.js"))],
  ]);
  const plots: Plot[] = [];
  const sections = report.scenarios.flatMap(({ name, title, unit }) => {
    const rows = rowsOf(report.measurements, name);
    if (rows.length === 0) return [];
    const plot = plotOf(`plot-${name}`, rows);
    if (plot) plots.push(plot);
    return { name, title, body: scenarioBody(rows, unit, plot) };
  });
  const links = sections.map(({ name, title }) => `<a href="#${name}">${escapeHtml(title)}</a>`);
  const faults = [...report.failures, ...report.checks.flatMap(({ faults }) => faults)];
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sentinel: benchmark</title>
<style>${libraryStyle}\n${style}</style>
<h1>Sentinel: benchmark</h1>
<ul class="machine">${report.machine.map((line) => `<li>${escapeHtml(line)}</li>`).join("")}</ul>
<p class="muted">Compare ratios within this run, never rates of two runs: a ratio is of the same round, the table
shows the median over the rounds. bench/README.md says what each scenario asks and each column means.</p>
<nav>${links.join("")}<a href="#counted">Counted afterwards</a></nav>
${sections.map(({ name, title, body }) => `<h2 id="${name}">${escapeHtml(title)}</h2>\n<div class="card">${body}</div>`).join("\n")}
<h2 id="counted">Counted afterwards</h2>
<div class="card">${scrolling(checksTable(report), "the whole table")}</div>
${faults.length > 0 ? `<h2 class="bad">What went wrong</h2><ul>${faults.map((fault) => `<li class="bad">${escapeHtml(fault)}</li>`).join("")}</ul>` : ""}
<script type="application/json" id="plots">${scriptJson(plots)}</script>
<script type="application/json" id="report">${scriptJson(report)}</script>
<script>${library}</script>
<script>${script}</script>
</html>
`;
}

function scenarioBody(rows: Row[], unit: string, plot: Plot | undefined): string {
  const columns = columnsFor(rows, unit);
  const cells = rows.map((row) => columns.map(({ cell }) => cell(row)));
  return [
    rateBars(rows, unit),
    plot ? `<h3>Answers a second, over time</h3><div class="plot" id="${plot.id}"></div>` : "",
    latencyRanges(rows),
    cpuBars(rows),
    "<h3>All figures</h3>",
    scrolling(
      table(
        columns.map(({ heading }) => heading),
        cells,
      ),
      `all ${columns.length} columns`,
    ),
  ].join("\n");
}

/** Wraps a table that may be wider than the page; only then a hint says so. */
const scrolling = (content: string, what: string) =>
  `<p class="hint" hidden>Scroll sideways for ${what} \u2192</p><div class="scroll" tabindex="0">${content}</div>`;

/** Plots the round of each row with the median rate: sales for servers that sell, otherwise responses. */
function plotOf(id: string, rows: Row[]): Plot | undefined {
  const series = rows.flatMap((row) => {
    const sorted = row.rounds.toSorted((one, other) => one.perSecond - other.perSecond);
    const samples = sorted[Math.floor(sorted.length / 2)]?.samples ?? [];
    if (samples.length < FEWEST_SAMPLES) return [];
    const lines = (
      [
        ["", "acceptedPerSecond"],
        [", refused", "refusedPerSecond"],
      ] as const
    ).filter(([, kind]) => samples.some((sample) => sample[kind] > 0));
    return lines.map(([suffix, kind]) => ({
      // If a row has only one kind of response, the scenario's title says which.
      name: nameOf(row) + (lines.length > 1 ? suffix : ""),
      times: samples.map(({ atSeconds }) => atSeconds),
      rates: samples.map((sample) => sample[kind]),
    }));
  });
  return series.length > 0 ? { id, unit: "/s", series } : undefined;
}

const checksTable = ({ checks }: Report) =>
  table(
    CHECK_HEADINGS,
    checks.map((tally) =>
      checkCells(tally).map((cell) => (agrees(tally) ? cell : cell.replace("**NO**", "NO"))),
    ),
  );

function table(headings: string[], rows: string[][]): string {
  const row = (tag: string, cells: string[]) =>
    `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join("")}</tr>`;
  return `<table>${row("th", headings)}${rows.map((cells) => row("td", cells)).join("")}</table>`;
}
