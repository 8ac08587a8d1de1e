import "../src/engine/preflight.ts";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "..");

// Installs the packages of bun.lock and prints nothing unless that fails, so that a command's output is its own. The
// first time takes a while, and a person at a terminal is told so.
if (process.stderr.isTTY && !existsSync(join(ROOT, "node_modules")))
  process.stderr.write("sentinel: installing the packages; this happens once and may take a minute\n");
const { status, stdout, stderr, error } = spawnSync(process.execPath, ["install", "--frozen-lockfile"], {
  cwd: ROOT,
  encoding: "utf8",
});
if (status !== 0) {
  console.error(
    `sentinel: the packages could not be installed:\n${error?.message ?? `${stdout}${stderr}`.trim()}`,
  );
  process.exit(1);
}
