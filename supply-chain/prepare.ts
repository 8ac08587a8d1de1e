import "../src/preflight.ts";
import { spawnSync } from "node:child_process";
import { join } from "node:path";

// Installs the packages of bun.lock and prints nothing unless that fails, so that a command's output is its own.
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
