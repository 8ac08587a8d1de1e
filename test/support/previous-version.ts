import { symlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Missing } from "./parts.ts";
import { tempDir } from "./temp-dir.ts";

const ROOT = resolve(import.meta.dir, "../..");
/** The state before there were tags. */
const BEFORE_TAGS = "065245a";
/** The files and folders from which an engine runs. */
const PARTS = ["package.json", "bun.lock", "bunfig.toml", "src", "workers", "drizzle", "patches"];

/** The newest tagged ancestor of this version; without tags, the last version before tags. */
export function findPreviousVersion(): string | Missing {
  const tag = git("describe", "--tags", "--abbrev=0", "HEAD");
  const revision = tag.success ? tag.text : BEFORE_TAGS;
  if (git("cat-file", "-e", `${revision}^{commit}`).success) return revision;
  return { missing: `the history here does not reach back to ${revision}` };
}

/**
 * Unpacks that version, with its packages, into a folder that is removed with `stack`. Both versions share the packages if
 * their lock files are equal.
 * @throws if its packages cannot be installed.
 */
export async function openPreviousVersion(stack: AsyncDisposableStack, revision: string): Promise<string> {
  const dir = await tempDir("previous-version");
  stack.defer(dir.remove);
  const archive = Bun.spawnSync(["git", "archive", "--format=tar", revision, ...PARTS], { cwd: ROOT });
  const unpacked = Bun.spawnSync(["tar", "-x", "-C", dir.path], { stdin: archive.stdout });
  if (!archive.success || !unpacked.success)
    throw new Error(`${revision} cannot be unpacked: ${archive.stderr}${unpacked.stderr}`);
  const lockOf = (folder: string) => Bun.file(join(folder, "bun.lock")).text();
  if ((await lockOf(dir.path)) === (await lockOf(ROOT)))
    await symlink(join(ROOT, "node_modules"), join(dir.path, "node_modules"));
  else {
    const installed = Bun.spawnSync([process.execPath, "install", "--frozen-lockfile"], { cwd: dir.path });
    if (!installed.success)
      throw new Error(`the packages of ${revision} cannot be installed: ${installed.stderr}`);
  }
  return dir.path;
}

function git(...args: string[]): { success: boolean; text: string } {
  if (!Bun.which("git")) return { success: false, text: "" };
  const { success, stdout } = Bun.spawnSync(["git", ...args], { cwd: ROOT, stderr: "ignore" });
  return { success, text: stdout.toString().trim() };
}
