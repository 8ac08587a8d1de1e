import { cpus, release, totalmem, type } from "node:os";
import { loadGenerator } from "../load.ts";
import type { BenchOptions } from "../options.ts";
import type { Parts } from "../parts.ts";

export function describeMachine(parts: Parts, options: BenchOptions, date: Date): string[] {
  const memoryGib = Math.round(totalmem() / 2 ** 30);
  return [
    `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`,
    `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${memoryGib} GiB, ${type()} ${release()}, shared by everything below`,
    `Bun ${Bun.version}; ${parts.described.join("; ")}`,
    `load by ${loadGenerator}; ${options.rounds} interleaved rounds of ${options.seconds} s, medians (lowest to highest)`,
  ];
}
