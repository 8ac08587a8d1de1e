import "../src/preflight.ts";
import { spawnSync } from "node:child_process";
import { join } from "node:path";

// Installs the packages that bun.lock names, in silence: what a command prints is its own. Only a failure is shown.
const { status, stdout, stderr, error } = spawnSync(process.execPath, ["install", "--frozen-lockfile"], {
  cwd: join(import.meta.dir, ".."),
  encoding: "utf8",
});
if (status !== 0) {
  console.error(
    `sentinel: the packages could not be installed:\n${error?.message ?? `${stdout}${stderr}`.trim()}`,
  );
  process.exit(1);
}
