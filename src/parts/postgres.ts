import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chown, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { ConfigError, LOOPBACK } from "../config/config.ts";
import { findBinaries } from "./binaries.ts";
import { freePort, type GuardedChild, type Identity, spawnGuarded } from "./child.ts";
import { CURRENT_FOLDER, clusterOf, hasCluster, identityFor, nameOfCluster } from "./home.ts";

const run = promisify(execFile);

const USER = "sentinel";
/** Inside the cluster's folder, which only its owner can enter. */
const PASSWORD_FILE = "sentinel.password";
/** Also in the cluster's folder: the ids of the process that started its Postgres, and of that Postgres. */
const OWNER_FILE = "sentinel.pid";
/** The line in `postmaster.pid`, from 0: process id, data folder, start time, port (Postgres's `pidfile.h`). */
const PORT_LINE = 3;
export const EMBEDDED_DATABASE = "sentinel";

/** How long a killed predecessor may need to close the Postgres on the same folder. */
const PREDECESSOR_TIMEOUT_MS = 5000;
const PREDECESSOR_POLL_MS = 100;

export interface EmbeddedPostgres {
  /** The cluster's `postgres` database; the caller creates its own beside it. */
  url: string;
  version: string;
  /** The folder of the data. */
  folder: string;
  stop(): Promise<void>;
}

/**
 * Starts a real Postgres from npm with its data in `dataDir/postgres`, created on first use. It listens only
 * on loopback and ends with this process, however that ends.
 * @throws {ConfigError} naming DATA_DIR if the folder is in use, not writable or of another Postgres
 */
export async function startEmbeddedPostgres(dataDir: string): Promise<EmbeddedPostgres> {
  const folder = clusterOf(dataDir);
  const isThere = hasCluster(dataDir);
  const identity = await identityFor(folder);
  const binaries = await findBinaries(identity);
  await mkdir(dataDir, { recursive: true }).catch((error: Error) => {
    throw new ConfigError(
      `DATA_DIR: ${dataDir} cannot be created (${error.message}): choose a writable folder`,
    );
  });
  if (!isThere) await initialise({ binaries, folder, identity });
  const passwordFile = join(folder, PASSWORD_FILE);
  const password = await readFile(passwordFile, "utf8").catch(() => {
    throw new ConfigError(
      `DATA_DIR: ${passwordFile} is missing, so the database beside it cannot be opened: restore it or choose another folder`,
    );
  });

  const port = await freePort();
  const name = await nameOfCluster(folder, identity);
  const child = await launch(dataDir, () =>
    spawnGuarded(
      [
        join(binaries, "bin/postgres"),
        ...["-D", name, "-p", String(port), "-h", LOOPBACK, "-k", ""],
        // Enough for several engines and tests on one cluster. All other settings are Postgres's defaults.
        ...["-c", "max_connections=200", "-c", "log_checkpoints=off"],
      ],
      { cwd: folder, identity },
    ),
  );
  await noteOwner(folder);
  return {
    url: urlOf(password, port),
    version: (await readFile(join(folder, "PG_VERSION"), "utf8")).trim(),
    folder,
    stop: () => child.stop(),
  };
}

/**
 * Returns the URL of the Postgres that another process runs on that folder; undefined if its file names none.
 * The file outlives a killed process, so the caller must try the URL.
 */
export async function urlOfRunningPostgres(dataDir: string): Promise<string | undefined> {
  const folder = clusterOf(dataDir);
  const [password, { port }] = await Promise.all([textOf(folder, PASSWORD_FILE), readState(folder)]);
  return password !== undefined && port !== undefined ? urlOf(password, port) : undefined;
}

interface State {
  pid?: number;
  port?: number;
}

/** Reads the folder's `postmaster.pid`; empty if there is none. */
async function readState(folder: string): Promise<State> {
  const lines = (await textOf(folder, "postmaster.pid"))?.split("\n");
  const [pid, port] = [Number(lines?.[0]), Number(lines?.[PORT_LINE])];
  return { ...(pid > 0 && { pid }), ...(port > 0 && { port }) };
}

const textOf = (folder: string, name: string) => readFile(join(folder, name), "utf8").catch(() => undefined);

const urlOf = (password: string, port: number) =>
  `postgres://${USER}:${password.trim()}@${LOOPBACK}:${port}/postgres`;

/** Stores whose Postgres this is, for a later start that finds the folder in use. */
async function noteOwner(folder: string): Promise<void> {
  const { pid } = await readState(folder);
  await writeFile(join(folder, OWNER_FILE), `${process.pid} ${pid}\n`).catch(() => undefined);
}

/** Returns the process whose Postgres is running on that folder, if the folder shows it. */
export async function findOwner(dataDir: string): Promise<number | undefined> {
  const folder = clusterOf(dataDir);
  const [owner, { pid }] = await Promise.all([textOf(folder, OWNER_FILE), readState(folder)]);
  const [ownerPid, ofPid] = owner?.split(" ").map(Number) ?? [];
  return ownerPid !== undefined && ofPid === pid && isAlive(ownerPid) ? ownerPid : undefined;
}

/** Describes the process that uses the folder. */
async function tellOwner(dataDir: string): Promise<string> {
  const [ownerPid, { pid }] = await Promise.all([findOwner(dataDir), readState(clusterOf(dataDir))]);
  if (ownerPid !== undefined) return `the process with id ${ownerPid}`;
  return pid === undefined ? "another process" : `the Postgres with process id ${pid}`;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** Postgres's messages about a folder in use. Its message about a full disk also names `postmaster.pid`. */
const IN_USE = /lock file "[^"]*postmaster\.pid" (already exists|is empty)|pre-existing shared memory/;
/** `initdb` and Postgres report an error in a line like this, and may print more after it. */
const FAULT = /(?:error|ERROR|FATAL|PANIC):\s*(.*)/;

/** Returns the error they report, with the folder's path in place of the current directory. */
function faultIn(output: string, folder: string): string {
  const words = FAULT.exec(output)?.[1] ?? output.trim().split("\n").at(-1) ?? "";
  return words.replaceAll(CURRENT_FOLDER, folder);
}

/** Waits for a killed predecessor's Postgres to release the folder, and explains who uses it if it does not. */
async function launch(dataDir: string, start: () => GuardedChild): Promise<GuardedChild> {
  const deadline = Date.now() + PREDECESSOR_TIMEOUT_MS;
  for (;;) {
    const child = start();
    if (await child.saw("ready to accept connections")) return child;
    const output = child.output();
    if (!IN_USE.test(output)) {
      throw new ConfigError(
        `DATA_DIR: Postgres did not start in ${dataDir} (${faultIn(output, clusterOf(dataDir))}): fix that or choose another folder`,
      );
    }
    if (Date.now() > deadline) {
      throw new ConfigError(
        `DATA_DIR: ${dataDir} is in use by ${await tellOwner(dataDir)}: stop it or choose another folder`,
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
 * Creates the cluster, including its password, beside its final name and renames it. A half-made cluster is
 * never opened, and of two processes that start at once one creates it.
 */
async function initialise({ binaries, folder, identity }: Cluster): Promise<void> {
  const stage = `${folder}.${process.pid}.new`;
  const half = join(stage, "cluster");
  const passwordFile = join(stage, PASSWORD_FILE);
  try {
    await mkdir(half, { recursive: true, mode: 0o700 });
    await writeFile(passwordFile, `${randomBytes(18).toString("base64url")}\n`, { mode: 0o600 });
    if (identity)
      for (const path of [stage, half, passwordFile]) await chown(path, identity.uid, identity.gid);
    const name = await nameOfCluster(half, identity);
    await run(
      join(binaries, "bin/initdb"),
      [
        // The password file is beside the cluster.
        ...["-D", name, "-U", USER, "--auth=scram-sha-256", `--pwfile=${name}/../${PASSWORD_FILE}`],
        ...["--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
      ],
      { ...identity, cwd: half },
    );
    await rename(passwordFile, join(half, PASSWORD_FILE));
    await rename(half, folder);
  } catch (error) {
    if (existsSync(join(folder, "PG_VERSION"))) return;
    if (error instanceof ConfigError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    const reason = faultIn(message, folder).replaceAll(half, folder).replaceAll(stage, folder);
    throw new ConfigError(
      `DATA_DIR: no database could be created in ${dirname(folder)} (${reason}): choose a writable folder with space`,
    );
  } finally {
    await rm(stage, { recursive: true, force: true }).catch(() => undefined);
  }
}
