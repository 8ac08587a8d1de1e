import { readdirSync, readFileSync } from "node:fs";

/** The kernel's unit of CPU time; the same on every Linux that Bun supports. */
const TICKS_PER_SECOND = 100;
const MICROSECONDS_PER_TICK = 1_000_000 / TICKS_PER_SECOND;

interface ProcessTimes {
  pid: number;
  parent: number;
  name: string;
  ownTicks: number;
  /** CPU time of children that have ended and were waited for. */
  endedChildrenTicks: number;
}

/** Whether this system reports CPU time per process (Linux does, in /proc). */
const canMeasure = process.platform === "linux";

/** Returns the CPU time of a process, including all its threads and ended descendants, in microseconds. */
export function cpuMicroseconds(root: number): number {
  if (!canMeasure) return Number.NaN;
  const ticks = familyOf(root).reduce((sum, each) => sum + each.ownTicks + each.endedChildrenTicks, 0);
  return ticks * MICROSECONDS_PER_TICK;
}

/** Returns the resident memory of a process and its descendants, in bytes. */
export function residentBytes(root: number): number {
  if (!canMeasure) return Number.NaN;
  return familyOf(root).reduce((sum, { pid }) => sum + residentBytesOf(pid), 0);
}

/**
 * What the threads of a Bun process and its descendants used, in microseconds: the main thread, the worker
 * threads in the order of their start (Bun calls all of them "Worker"), and everything else (compilation,
 * garbage collection, Bun's own pool).
 */
export function cpuByThread(root: number): Record<string, number> {
  const used: Record<string, number> = {};
  if (!canMeasure) return used;
  const add = (name: string, ticks: number) => {
    used[name] = (used[name] ?? 0) + ticks * MICROSECONDS_PER_TICK;
  };
  for (const { pid } of familyOf(root)) {
    let workers = 0;
    for (const id of threadsOf(pid)) {
      const thread = timesAt(`/proc/${pid}/task/${id}/stat`);
      if (!thread) continue;
      if (id === pid) add("main", thread.ownTicks);
      else if (thread.name === "Worker") add(`worker ${++workers}`, thread.ownTicks);
      else add("JIT, GC and pool", thread.ownTicks);
    }
  }
  return used;
}

/** Returns the ids of a process and all its descendants. */
export const familyPids = (root: number): number[] =>
  canMeasure ? familyOf(root).map(({ pid }) => pid) : [root];

/** Returns the process and all its descendants. */
function familyOf(root: number): ProcessTimes[] {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => timesAt(`/proc/${name}/stat`) ?? []);
  const family = new Set([root]);
  // Parents and children come in any order, so repeat until no process is new.
  for (let before = -1; before !== family.size; ) {
    before = family.size;
    for (const { pid, parent } of all) if (family.has(parent)) family.add(pid);
  }
  return all.filter(({ pid }) => family.has(pid));
}

function threadsOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
      .map(Number)
      .sort((a, b) => a - b);
  } catch {
    return [];
  }
}

function residentBytesOf(pid: number): number {
  try {
    const kibibytes = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return Number(kibibytes ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** Returns undefined if the process or thread has ended meanwhile. Fields as in proc_pid_stat(5). */
function timesAt(path: string): ProcessTimes | undefined {
  try {
    const stat = readFileSync(path, "utf8");
    // The second field is the name in parentheses, which may contain anything; the third follows the last
    // parenthesis.
    const nameEnd = stat.lastIndexOf(")");
    const fields = stat.slice(nameEnd + 2).split(" ");
    const field = (number: number) => Number(fields[number - 3]);
    return {
      pid: Number.parseInt(stat, 10),
      parent: field(4),
      name: stat.slice(stat.indexOf("(") + 1, nameEnd),
      ownTicks: field(14) + field(15),
      endedChildrenTicks: field(16) + field(17),
    };
  } catch {
    return undefined;
  }
}
