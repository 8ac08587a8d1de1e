import { CPU_PARTS, type CpuByPart } from "../measure.ts";
import { figure, whole } from "./columns.ts";
import { escapeHtml } from "./html.ts";
import { NAMES, type Row } from "./rows.ts";

const PART_NAMES: Record<keyof CpuByPart, string> = {
  server: "server",
  postgres: "Postgres",
  redis: "Redis",
  kafka: "Kafka",
  load: "load generator",
};

/** With fewer connections a connection is hardly ever busy, and background work weighs on few responses. */
const BUSY_CONNECTIONS = 50;

export const nameOf = ({ server, variant, connections, scenario }: Row) =>
  [
    NAMES[server],
    variant,
    connections > 0 &&
      server !== "pgbench" &&
      scenario !== "holds" &&
      `${connections.toLocaleString("en-US")} connections`,
  ]
    .filter(Boolean)
    .join(", ");

/** Says for an open loop whether the load was sent as planned; if not, its rate and latencies mean less. */
const pacing = ({ late, notSent }: Row) =>
  Number.isNaN(late) ? "" : ` · ${whole(late)} late, ${whole(notSent)} not sent`;

/** Shows the rates, with their share of what they are compared with. */
export function rateBars(rows: Row[], unit: string): string {
  const shown = rows.filter(({ perSecond }) => perSecond > 0);
  if (shown.length === 0) return "";
  const full = Math.max(...shown.map(({ perSecond }) => perSecond));
  const bars = shown.map((row) => {
    const width = ((100 * row.perSecond) / full).toFixed(2);
    const ratio = Number.isNaN(row.ratio)
      ? ""
      : ` · ${row.ratio.toFixed(3)} of ${row.comparedWith ?? "itself"}`;
    const track = `<div class="track"><i style="flex:0 0 ${width}%;background:var(--series-0)"></i></div>`;
    return bar(row, `${figure(row.perSecond)}${row.yardstick ? "" : escapeHtml(ratio)}${pacing(row)}`, track);
  });
  return `<h3>${escapeHtml(unit)}</h3>\n<div class="bars">${bars.join("\n")}</div>`;
}

/** Shows the cost of a response for each process, one bar per row, scaled to the engine; longer bars are cut. */
export function cpuBars(rows: Row[]): string {
  const shown = rows.filter(({ cpuTotal }) => cpuTotal > 0);
  if (shown.length === 0) return "";
  const own = shown.filter(({ server }) => server === "engine");
  const busy = own.filter(({ connections }) => connections >= BUSY_CONNECTIONS);
  const scaled = busy.length > 0 ? busy : own.length > 0 ? own : shown;
  const full = 1.1 * Math.max(...scaled.map(({ cpuTotal }) => cpuTotal));
  const bars = shown.map((row) => {
    const parts = CPU_PARTS.filter((part) => row.cpu[part] > 0).map((part) => {
      const width = ((100 * row.cpu[part]) / full).toFixed(2);
      const title = `${PART_NAMES[part]} ${figure(row.cpu[part])} µs`;
      return `<i style="flex:0 0 ${width}%;background:var(--${part})" title="${title}"></i>`;
    });
    const beyond = row.cpuTotal > full ? " beyond" : "";
    return bar(row, `${figure(row.cpuTotal)} µs`, `<div class="track${beyond}">${parts.join("")}</div>`);
  });
  const legend = CPU_PARTS.map(
    (part) => `<span><i style="background:var(--${part})"></i>${PART_NAMES[part]}</span>`,
  );
  return `<h3>CPU microseconds an answer, by process</h3>
<div class="legend">${legend.join("")}<span>striped: longer than shown</span></div>
<div class="bars">${bars.join("\n")}</div>`;
}

/** Shows p50, p99, p99.9 and the longest latency on one logarithmic scale. */
export function latencyRanges(rows: Row[]): string {
  const shown = rows.filter(({ p50Ms, maxMs }) => p50Ms > 0 && maxMs > 0);
  if (shown.length === 0) return "";
  const lowest = Math.floor(Math.log10(Math.min(...shown.map(({ p50Ms }) => p50Ms))));
  const highest = Math.max(lowest + 1, Math.ceil(Math.log10(Math.max(...shown.map(({ maxMs }) => maxMs)))));
  const place = (ms: number) => ((100 * (Math.log10(ms) - lowest)) / (highest - lowest)).toFixed(2);
  const ranges = shown.map((row) => {
    const dot = (kind: string, ms: number) =>
      `<i class="dot ${kind}" style="left:${place(ms)}%" title="${kind} ${figure(ms)} ms"></i>`;
    const span = `<i class="span" style="left:${place(row.p50Ms)}%;right:${(100 - Number(place(row.maxMs))).toFixed(2)}%"></i>`;
    const dots = [
      dot("p50", row.p50Ms),
      dot("p99", row.p99Ms),
      dot("p999", row.p999Ms),
      dot("max", row.maxMs),
    ];
    return bar(
      row,
      `p50 ${figure(row.p50Ms)} · p99 ${figure(row.p99Ms)} ms${pacing(row)}`,
      `<div class="range">${span}${dots.join("")}</div>`,
    );
  });
  const ticks = Array.from({ length: highest - lowest + 1 }, (_, index) => {
    const at = lowest + index;
    return `<span style="left:${((100 * index) / (highest - lowest)).toFixed(2)}%">${10 ** at} ms</span>`;
  });
  return `<h3>Latency</h3>
<div class="legend"><span><i style="background:var(--series-0)"></i>p50</span><span><i style="background:var(--series-1)"></i>p99</span><span><i style="background:var(--series-3)"></i>p99.9</span><span><i style="background:var(--muted)"></i>longest</span></div>
<div class="bars">${ranges.join("\n")}<div class="ticks">${ticks.join("")}</div></div>`;
}

const bar = (row: Row, value: string, track: string) =>
  `<div class="bar"><div class="name"><span>${escapeHtml(nameOf(row))}</span><b>${value}</b></div>${track}</div>`;
