import { chmod, chown, readdir } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "pg";
import { unprivileged } from "../../src/embedded/home.ts";
import { type Child, startChild } from "./child.ts";
import { freePort } from "./free-port.ts";
import { type Missing, present } from "./parts.ts";
import { tempDir } from "./temp-dir.ts";
import { until } from "./until.ts";

const SYSTEM_FOLDER = "/usr/lib/postgresql";
const PROGRAMS = ["initdb", "postgres", "pg_basebackup", "pg_dump", "pg_restore"];
const OLDEST_VERSION = 15;
const TOOL_TIMEOUT_MS = 60_000;
const START_DEADLINE_MS = 40_000;
const STOP_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 2000;
const USER = "sentinel";
const HOST = "127.0.0.1";

/** What the system's Postgres has and the one from npm lacks: standbys and dumps. */
export interface PostgresTools {
  bin: string;
  version: number;
}

/** A Postgres of the system's own programs, which a test may kill, hang, copy and promote. */
export interface PostgresCluster {
  /** Of its database, by its superuser; `sentinel` for both. */
  url: string;
  tools: PostgresTools;
  /** Its newest log lines. */
  output(): string;
  isRunning(): boolean;
  /** Hangs all of its processes (SIGSTOP): connections stay open and nothing answers. */
  pause(): Promise<void>;
  resume(): void;
  /** SIGKILL to the postmaster; its children see that and go. */
  kill(): Promise<void>;
  /** Starts again at the same address with the same data, and waits until it takes connections. */
  start(): Promise<void>;
  /** Sessions are told to go, and it shuts down in order. */
  stop(): Promise<void>;
  /** Changes settings that need no restart; they stay. */
  set(settings: Record<string, string>): Promise<void>;
  /** A copy that follows by streaming, under that `application_name`. */
  addStandby(name: string): Promise<PostgresCluster>;
  /** Makes a standby a primary, on a timeline of its own. */
  promote(): Promise<void>;
}

/** Where a cluster's files lie. */
export interface ClusterPlace {
  folder: string;
  /** For its write-ahead log, where that lies elsewhere. */
  walFolder?: string;
  /** What its programs are started behind, to see the folders. */
  inside: string[];
}

/** The newest Postgres in /usr/lib/postgresql, else the one on PATH, with what a standby and a dump need. */
export async function findPostgresTools(): Promise<PostgresTools | Missing> {
  if ((await unprivileged()) && !Bun.which("setpriv"))
    return { missing: "no setpriv is on PATH, by which root runs Postgres's own tools as another user" };
  const versions = await readdir(SYSTEM_FOLDER).catch((): string[] => []);
  const folders = versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(SYSTEM_FOLDER, version, "bin"));
  for (const PATH of [...folders, process.env["PATH"] ?? ""]) {
    const [initdb, ...others] = PROGRAMS.map((program) => Bun.which(program, { PATH }));
    if (!initdb || others.includes(null)) continue;
    const told = Bun.spawnSync([initdb, "--version"]).stdout.toString();
    const version = Number(/ (\d+)/.exec(told)?.[1] ?? 0);
    if (version >= OLDEST_VERSION) return { bin: join(initdb, ".."), version };
  }
  return {
    missing: `no Postgres ${OLDEST_VERSION} or newer with ${PROGRAMS.join(", ")} is in ${SYSTEM_FOLDER} or on PATH`,
  };
}

/** A new cluster with an empty database, which ends with `stack`; `settings` are for its whole life. */
export async function startPostgresCluster(
  stack: AsyncDisposableStack,
  { settings = {}, place }: { settings?: Record<string, string>; place?: ClusterPlace } = {},
): Promise<PostgresCluster> {
  const tools = present(await findPostgresTools());
  const home = place ?? { folder: await ownFolder(stack), inside: [] };
  await runTool(
    tools,
    "initdb",
    [
      ...["-D", home.folder, "-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"],
      // In megabytes, the least there is: a small disk has room for many.
      "--wal-segsize=1",
      ...(home.walFolder ? [`--waldir=${home.walFolder}`] : []),
    ],
    home.inside,
  );
  const cluster = await run(stack, { tools, place: home, name: "the cluster", settings });
  await query(cluster.url, `create database ${USER}`, "postgres");
  return cluster;
}

/** Runs one of Postgres's programs to its end, as the user that Postgres runs as. @throws with its output. */
export async function runTool(
  { bin }: PostgresTools,
  program: string,
  options: string[],
  inside: string[] = [],
): Promise<void> {
  const command = [...inside, ...(await asUnprivileged()), join(bin, program), ...options];
  const child = startChild(program, command, { cwd: "/" });
  await until(() => child.exitCode() !== undefined, {
    deadlineMs: TOOL_TIMEOUT_MS,
    what: `${program} has ended`,
  }).finally(child.kill);
  if (child.exitCode() !== 0) throw new Error(`${program} failed:\n${child.output()}`);
}

interface Running {
  tools: PostgresTools;
  place: ClusterPlace;
  name: string;
  settings: Record<string, string>;
}

async function run(
  stack: AsyncDisposableStack,
  { tools, place, name, settings }: Running,
): Promise<PostgresCluster> {
  const port = await freePort();
  const url = `postgres://${USER}@${HOST}:${port}/${USER}`;
  let child: Child | undefined;
  let paused: number[] = [];

  const isAnswering = () => query(url, "select", "postgres").then(() => true);
  const launch = async (): Promise<boolean> => {
    const started = startChild(
      name,
      [
        ...[...place.inside, ...(await asUnprivileged()), join(tools.bin, "postgres")],
        ...["-D", place.folder, "-p", String(port), "-h", HOST, "-k", ""],
        // The machine does not die with the test: what was written is there.
        ...["-c", "fsync=off", ...Object.entries(settings).flatMap((each) => ["-c", each.join("=")])],
      ],
      { cwd: "/" },
    );
    child = started;
    await until(() => started.exitCode() !== undefined || isAnswering(), {
      deadlineMs: START_DEADLINE_MS,
      what: `${name} takes connections`,
    });
    return started.exitCode() === undefined;
  };
  const isRunning = () => child !== undefined && child.exitCode() === undefined;
  const resume = () => {
    for (const pid of paused.splice(0)) {
      try {
        process.kill(pid, "SIGCONT");
      } catch {
        // It has been killed meanwhile; the others must not stay stopped for that.
      }
    }
  };
  const cluster: PostgresCluster = {
    ...{ url, tools, isRunning, resume },
    output: () => child?.output() ?? "",
    pause: async () => {
      const rows = await query<{ pid: number }>(
        url,
        "select pid from pg_stat_activity where pid <> pg_backend_pid()",
        "postgres",
      );
      paused = [child?.pid ?? 0, ...rows.map(({ pid }) => pid)];
      for (const pid of paused) process.kill(pid, "SIGSTOP");
    },
    kill: async () => {
      await child?.kill();
      resume();
    },
    start: async () => {
      if (isRunning()) return;
      // The children of a postmaster that was killed keep its memory for a moment.
      await until(launch, { deadlineMs: START_DEADLINE_MS, what: `${name} starts` }).catch((error) => {
        throw new Error(`${name} did not start:\n${child?.output()}`, { cause: error });
      });
    },
    stop: async () => {
      resume();
      await child?.end("SIGINT", STOP_TIMEOUT_MS);
    },
    set: async (changed) => {
      for (const [setting, value] of Object.entries(changed)) {
        await query(url, `alter system set ${setting} = '${value}'`, "postgres");
      }
      await query(url, "select pg_reload_conf()", "postgres");
      for (const [setting, value] of Object.entries(changed)) {
        await until(
          async () =>
            (await query<Record<string, string>>(url, `show ${setting}`, "postgres"))[0]?.[setting] === value,
          { deadlineMs: STOP_TIMEOUT_MS, what: `${setting} is ${value}` },
        );
      }
    },
    addStandby: async (standby) => {
      const folder = await ownFolder(stack);
      const source = `host=${HOST} port=${port} user=${USER} application_name=${standby}`;
      await runTool(tools, "pg_basebackup", [
        ...["-D", folder, "-d", source, "--write-recovery-conf", "--checkpoint=fast", "--no-sync"],
      ]);
      return run(stack, { tools, place: { folder, inside: [] }, name: standby, settings });
    },
    promote: async () => {
      await query(url, "select pg_promote(true, 30)", "postgres");
    },
  };
  stack.defer(cluster.stop);
  await cluster.start();
  return cluster;
}

/** One statement on a connection of its own. */
export async function query<Row extends object>(
  url: string,
  statement: string,
  database?: string,
): Promise<Row[]> {
  const connectionString = database ? Object.assign(new URL(url), { pathname: `/${database}` }).href : url;
  const client = new Client({ connectionString, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query<Row>(statement)).rows;
  } finally {
    await client.end();
  }
}

/** A folder that only Postgres may enter, removed with `stack`. */
async function ownFolder(stack: AsyncDisposableStack): Promise<string> {
  const dir = await tempDir("cluster");
  stack.defer(dir.remove);
  await giveToPostgres(dir.path);
  return dir.path;
}

/** Lets Postgres, and nobody else, use the folder. */
export async function giveToPostgres(folder: string): Promise<void> {
  await chmod(folder, 0o700);
  const user = await unprivileged();
  if (user) await chown(folder, user.uid, user.gid);
}

/** Postgres refuses to run as root. */
async function asUnprivileged(): Promise<string[]> {
  const user = await unprivileged();
  return user ? ["setpriv", `--reuid=${user.uid}`, `--regid=${user.gid}`, "--clear-groups"] : [];
}
