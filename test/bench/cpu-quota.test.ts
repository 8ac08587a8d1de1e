import { expect, test } from "bun:test";
import { cpus } from "node:os";
import { openCpuQuotas } from "../../bench/cpu-quota.ts";
import { startChild } from "../fixtures/child.ts";

const SPIN_MS = 1000;
/** Tells the CPU time that it got, in microseconds. */
const SPIN = `const before = process.cpuUsage(); const end = Date.now() + ${SPIN_MS}; while (Date.now() < end);
  const { user, system } = process.cpuUsage(before); console.log(user + system)`;
const QUOTA_CORES = 0.1;

test("a process in the generator's group gets no more of the CPU than its quota, or it is said why not", async () => {
  await using closes = new AsyncDisposableStack();
  const quotas = await openCpuQuotas(closes, QUOTA_CORES);
  if ("unlimited" in quotas) {
    expect(quotas.unlimited.length).toBeGreaterThan(0);
    return;
  }
  const child = startChild("spin", [process.execPath, "-e", `setTimeout(() => { ${SPIN} }, 200)`]);
  await quotas.generator.add([child.pid]);
  await child.end("SIGCONT", 20_000);
  expect(Number(child.output().trim())).toBeLessThan(SPIN_MS * 1000 * 2 * QUOTA_CORES);
  expect(quotas.generator.cores + quotas.servers.cores).toBeCloseTo(cpus().length);
});
