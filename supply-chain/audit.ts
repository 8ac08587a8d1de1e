import { advisoriesSchema, exceptionSchema, faultsOf, overdue } from "./exceptions.ts";
import { ROOT } from "./lock-file.ts";

/** The registry is asked once more; a third time only costs CI's time. */
const ATTEMPTS = 2;
const TIMEOUT_MS = 30_000;

/**
 * Asks the registry what is known against the packages of `bun.lock` (`bun audit`) and exits 1 for whatever has
 * no written exception. A registry that cannot be asked is no fault of the code: that is said, and 0 is the exit.
 * The first argument may name another file of exceptions.
 */
async function audit(exceptionsFile: string): Promise<number> {
  const exceptions = exceptionSchema.safeParse(await Bun.file(exceptionsFile).json());
  if (!exceptions.success) {
    const [issue] = exceptions.error.issues;
    console.error(`audit: ${exceptionsFile} cannot be used: ${issue?.path.join(".")} ${issue?.message}`);
    return 1;
  }
  const today = new Date().toISOString().slice(0, 10);
  const over = overdue(exceptions.data, today);
  for (const fault of over) console.error(`audit: ${fault}`);
  if (over.length > 0) return 1;
  let reason = "";
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const { stdout, stderr } = Bun.spawnSync([process.execPath, "audit", "--json"], {
      ...{ cwd: ROOT, stdout: "pipe", stderr: "pipe", timeout: TIMEOUT_MS },
    });
    const advisories = advisoriesIn(stdout.toString());
    if (advisories) {
      const faults = faultsOf(advisories, exceptions.data);
      for (const fault of faults) console.error(`audit: ${fault}`);
      if (faults.length === 0)
        console.log(`audit: nothing is known, but for ${exceptions.data.length} exceptions`);
      return faults.length === 0 ? 0 : 1;
    }
    reason = stderr.toString().trim().split("\n").at(-1) || "no answer in time";
  }
  console.warn(`audit: NOT DONE, the registry did not tell what is known (${reason}): run it where it does`);
  return 0;
}

function advisoriesIn(text: string) {
  try {
    return advisoriesSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

process.exit(await audit(process.argv[2] ?? `${ROOT}/supply-chain/exceptions.json`));
