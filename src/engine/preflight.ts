// This file is loaded before everything else (see bunfig.toml), even by versions of Bun that cannot run the
// rest. It imports no package.
import { existsSync } from "node:fs";
import { join } from "node:path";
import packageJson from "../../package.json" with { type: "json" };

/** The oldest Bun that runs the engine; worker threads crash on older versions. */
const NEEDED = packageJson.engines.bun.replace(">=", "");

function isOlder(version: string, needed: string): boolean {
  const own = version.split(/[.-]/).map(Number);
  for (const [index, part] of needed.split(".").map(Number).entries()) {
    if (own[index] !== part) return (own[index] ?? 0) < part;
  }
  return false;
}

/** Returns one line for a user whose Bun is too old, or who has not installed the packages yet. */
function faultOf(version: string): string | undefined {
  const command = `npx -y ${packageJson.packageManager}`;
  if (isOlder(version, NEEDED))
    return `Bun ${version} is too old, ${NEEDED} or newer is needed: type ${command} where you typed bun`;
  const installsThem = Bun.main === join(import.meta.dir, "../../supply-chain/prepare.ts");
  if (!installsThem && !existsSync(join(import.meta.dir, "../../node_modules")))
    return `the packages are not installed: type ${command} install --frozen-lockfile`;
  return undefined;
}

const fault = faultOf(Bun.version);
if (fault !== undefined) {
  console.error(`sentinel: ${fault}`);
  process.exit(1);
}
