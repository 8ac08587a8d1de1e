import { existsSync, statSync } from "node:fs";
import { chmod, lchown, readdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ConfigError } from "../config/config.ts";
import type { Identity } from "./child.ts";

/** Where root's engines keep copies of the binaries. Older versions also kept databases there. */
export const ROOT_HOME = "/var/lib/sentinel";

/** The system's name for a process's current directory. */
export const CURRENT_FOLDER = "/proc/self/cwd";

/** Postgres refuses a folder that others can enter or write to. */
const OPEN_TO_OTHERS = 0o027;

/** The folder of DATA_DIR's cluster, the same for every user who starts the engine. */
export const clusterOf = (dataDir: string) => join(dataDir, "postgres");

/**
 * The cluster's folder in older versions, if root's DATA_DIR was below a folder that Postgres's user could
 * not enter.
 */
const formerClusterOf = (dataDir: string) => join(ROOT_HOME, Bun.hash(dataDir).toString(36), "postgres");

const isCluster = (folder: string) => existsSync(join(folder, "PG_VERSION"));

/**
 * Returns whether DATA_DIR has a database, running or not.
 * @throws {ConfigError} if it belongs to another user, cannot be read, or is where an older version put it: a
 * new one must not take its place
 */
export function hasCluster(dataDir: string): boolean {
  const [folder, former] = [clusterOf(dataDir), formerClusterOf(dataDir)];
  assertOwn(folder);
  if (isCluster(folder)) return true;
  if (existsSync(former)) {
    throw new ConfigError(
      `DATA_DIR: an older version keeps the database of ${dataDir} in ${former}: stop the engine that uses it, then run mkdir -p ${dataDir} && mv ${former} ${folder}; to start over, remove it`,
    );
  }
  return false;
}

/** Returns undefined if the folder is missing. Other problems are reported by the code that opens it. */
function ownerOf(folder: string): number | undefined {
  try {
    return statSync(folder).uid;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EACCES") {
      throw new ConfigError(
        `DATA_DIR: ${folder} is not readable for this user (EACCES): run this as the engine's user, or choose another folder`,
      );
    }
    return undefined;
  }
}

/**
 * Checks the owner, because Postgres opens only a cluster of the user it runs as (another user, if root
 * starts the engine).
 */
function assertOwn(folder: string): void {
  const me = process.getuid?.();
  const owner = ownerOf(folder);
  if (me === 0 || owner === undefined || owner === me) return;
  throw new ConfigError(
    `DATA_DIR: ${folder} belongs to the user with id ${owner}, probably because root started an engine there: start as root, choose another folder, or have root run chown -R ${me} ${folder}`,
  );
}

/** Returns the database that an older version created elsewhere, if DATA_DIR now has its own. */
export function findFormerCluster(dataDir: string): string | undefined {
  const former = formerClusterOf(dataDir);
  return isCluster(clusterOf(dataDir)) && existsSync(former) ? former : undefined;
}

/**
 * Returns the path under which Postgres opens its folder. If its user cannot reach the folder (below root's
 * home, for example), Postgres is started in it and uses the current directory.
 */
export async function nameOfCluster(folder: string, identity: Identity | undefined): Promise<string> {
  if (await isReachable(folder, identity)) return folder;
  if (existsSync(CURRENT_FOLDER)) return CURRENT_FOLDER;
  throw new ConfigError(
    `DATA_DIR: ${folder} is below a folder that Postgres's user cannot enter, and Postgres must not run as root: choose another folder, or start as an ordinary user`,
  );
}

/**
 * Returns the user that Postgres runs as: the cluster's owner, otherwise `postgres` if that user exists,
 * otherwise `nobody`. A cluster that root copied or restored is given to that user.
 * @returns undefined if this process is not root's; Postgres then runs as the same user
 */
export async function identityFor(folder: string): Promise<Identity | undefined> {
  const found = await stat(folder).catch(() => undefined);
  if (process.getuid?.() !== 0) return undefined;
  const identity = found && found.uid !== 0 ? { uid: found.uid, gid: found.gid } : await unprivileged();
  if (identity && found?.uid === 0) await give(folder, identity);
  if (found && (found.mode & OPEN_TO_OTHERS) !== 0) await chmod(folder, 0o700);
  return identity;
}

async function give(folder: string, { uid, gid }: Identity): Promise<void> {
  for (const name of await readdir(folder, { recursive: true })) await lchown(join(folder, name), uid, gid);
  await lchown(folder, uid, gid);
}

/**
 * Returns the user for a Postgres started by root, because Postgres refuses to run as root: `postgres`,
 * otherwise `nobody`.
 */
export async function unprivileged(): Promise<Identity | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const users = (await readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"));
  const user = users.find(([name]) => name === "postgres") ?? users.find(([name]) => name === "nobody");
  if (!user)
    throw new ConfigError(
      "DATABASE_URL: Postgres must not run as root and there is no user `nobody`: start as an ordinary user",
    );
  return { uid: Number(user[2]), gid: Number(user[3]) };
}

/** Returns whether that user can reach the path. Missing parts count as reachable, because we create them. */
export async function isReachable(path: string, identity: Identity | undefined): Promise<boolean> {
  if (!identity) return true;
  for (let folder = path; ; folder = dirname(folder)) {
    const found = await stat(folder).catch(() => undefined);
    if (found?.isDirectory()) {
      const bit = found.uid === identity.uid ? 0o100 : found.gid === identity.gid ? 0o010 : 0o001;
      if ((found.mode & bit) === 0) return false;
    }
    if (folder === dirname(folder)) return true;
  }
}
