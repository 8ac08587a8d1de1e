import { expect, test } from "bun:test";
import { cpus } from "node:os";
import { openCpuQuotas } from "../../bench/cpu-quota.ts";
import { startChild } from "../support/child.ts";

const SPIN_MS = 1000;
const SPIN = `const end = Date.now() + ${SPIN_MS}; while (Date.now() < end); console.log(process.cpuUsage().user + process.cpuUsage().system)`;

test("a process in the generator's group gets no more of the CPU than its quota, or it is said why not", async () => {
  await using closes = new AsyncDisposableStack();
  const quotas = await openCpuQuotas(closes, 0.2);
  if ("unlimited" in quotas) {
    expect(quotas.unlimited.length).toBeGreaterThan(0);
    return;
  }
  const child = startChild("spin", [process.execPath, "-e", `setTimeout(() => { ${SPIN} }, 200)`]);
  await quotas.generator.add([child.pid]);
  await child.end("SIGCONT", 20_000);
  expect(Number(child.output().trim())).toBeLessThan(SPIN_MS * 1000 * 0.5);
  expect(quotas.generator.cores + quotas.servers.cores).toBeCloseTo(cpus().length);
});
