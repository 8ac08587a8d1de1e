import { readdirSync, readFileSync } from "node:fs";

/** The kernel counts CPU time in these; the figure is the same on every Linux that Bun runs on. */
const TICKS_PER_SECOND = 100;
const MICROSECONDS_PER_TICK = 1_000_000 / TICKS_PER_SECOND;

interface ProcessTimes {
  pid: number;
  parent: number;
  ownTicks: number;
  /** Of children that have ended and were waited for. */
  endedChildrenTicks: number;
}

/** Whether this system tells what each process used (Linux does, in /proc). */
const canMeasure = process.platform === "linux";

/** CPU time of a process with all its threads and descendants, the ended ones included, in microseconds. */
export function cpuMicroseconds(root: number): number {
  if (!canMeasure) return Number.NaN;
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => timesOf(Number(name)) ?? []);
  const tree = new Set([root]);
  // Parents come before children in no certain order: repeat until no process is new.
  for (let before = -1; before !== tree.size; ) {
    before = tree.size;
    for (const { pid, parent } of all) if (tree.has(parent)) tree.add(pid);
  }
  const ticks = all
    .filter(({ pid }) => tree.has(pid))
    .reduce((sum, each) => sum + each.ownTicks + each.endedChildrenTicks, 0);
  return ticks * MICROSECONDS_PER_TICK;
}

/** Memory of the process that lies in RAM now, in bytes. */
export function residentBytes(pid: number): number {
  if (!canMeasure) return Number.NaN;
  const kibibytes = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kibibytes) * 1024;
}

/** Undefined for a process that has ended meanwhile. Fields as in proc_pid_stat(5). */
function timesOf(pid: number): ProcessTimes | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the name in parentheses, which may hold anything; the third follows the last one.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const field = (number: number) => Number(fields[number - 3]);
    return {
      pid,
      parent: field(4),
      ownTicks: field(14) + field(15),
      endedChildrenTicks: field(16) + field(17),
    };
  } catch {
    return undefined;
  }
}
