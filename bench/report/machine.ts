import { cpus, release, totalmem, type } from "node:os";
import { loadGenerator } from "../load.ts";
import type { BenchOptions } from "../options.ts";
import type { Parts } from "../parts.ts";

/** Returns which code was measured. */
function describeCommit(): string {
  const git = (...args: string[]) => {
    const { exitCode, stdout } = Bun.spawnSync(["git", ...args], { cwd: import.meta.dir, stderr: "ignore" });
    return exitCode === 0 ? stdout.toString().trim() : undefined;
  };
  try {
    const commit = git("rev-parse", "--short=12", "HEAD");
    if (commit === undefined) return "commit unknown: not a git repository";
    const changed = git("status", "--porcelain");
    return `commit ${commit}${changed ? ", with changes that are not committed" : ""}`;
  } catch {
    return "commit unknown: git is not installed";
  }
}

export function describeMachine(parts: Parts, options: BenchOptions, date: Date): string[] {
  const memoryGib = Math.round(totalmem() / 2 ** 30);
  return [
    describeCommit(),
    `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`,
    `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${memoryGib} GiB, ${type()} ${release()}, shared by everything below`,
    `Bun ${Bun.version}; ${parts.described.join("; ")}`,
    `load by ${loadGenerator}; ${options.rounds} interleaved rounds of ${options.seconds} s, medians (lowest to highest)`,
  ];
}
