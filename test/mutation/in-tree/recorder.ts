import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Switches on the mutant that the file `state` names, or notes which mutants a run reaches. Each mutated file imports
 * this first, so it works in worker threads too, and in engine processes, which get little environment.
 */

const reachedFile = join(import.meta.dir, "reached");
const state = readFileSync(join(import.meta.dir, "state"), "utf8");
const shared: typeof globalThis & { __stryker__?: object } = globalThis;
shared.__stryker__ ??= state === "record" ? { mutantCoverage: recorded() } : { activeMutant: state };

function recorded(): object {
  const reached: Record<string, number> = {};
  // Stryker's code counts here; the count itself is of no use.
  const counts = new Proxy(reached, {
    set(target, id: string, count: number) {
      if (!(id in target)) appendFileSync(reachedFile, `${id}\n`);
      target[id] = count;
      return true;
    },
  });
  return { static: counts, perTest: {} };
}
