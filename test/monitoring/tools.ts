import { findProgram, type Missing } from "../fixtures/parts.ts";

export interface PrometheusTools {
  prometheus: string;
  promtool: string;
}

/** Debian's package has both; one without the other is of no use here. */
export function findPrometheus(): PrometheusTools | Missing {
  const prometheus = findProgram("prometheus");
  const promtool = findProgram("promtool");
  if (typeof prometheus !== "string") return prometheus;
  if (typeof promtool !== "string") return promtool;
  return { prometheus, promtool };
}

/** Runs a tool to its end; for those that answer within seconds. */
export function run(command: string[], cwd: string): { exitCode: number; output: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd, stdout: "pipe", stderr: "pipe" });
  return { exitCode, output: `${stdout}${stderr}` };
}
