import { chown, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { unprivileged } from "../../src/embedded/home.ts";
import { startChild } from "./child.ts";
import { freePort } from "./free-port.ts";
import { findProgram, type Missing } from "./parts.ts";
import { query } from "./postgres-cluster.ts";
import { tempDir } from "./temp-dir.ts";
import { until } from "./until.ts";

const START_DEADLINE_MS = 20_000;
const STOP_TIMEOUT_MS = 5000;

export const findPgBouncer = (): string | Missing => {
  const PATH = `${process.env["PATH"] ?? ""}:/usr/sbin`;
  return Bun.which("pgbouncer", { PATH }) ?? findProgram("pgbouncer");
};

type PoolMode = "session" | "transaction" | "statement";

export interface PgBouncer {
  /** The database's URL there. */
  url: string;
  /** Switches it while it runs. */
  usePoolMode(poolMode: PoolMode): Promise<void>;
}

/** A PgBouncer with Debian's defaults in front of a database; ends with `stack`. */
export async function startPgBouncer(
  stack: AsyncDisposableStack,
  { program, url, poolMode }: { program: string; url: string; poolMode: PoolMode },
): Promise<PgBouncer> {
  const dir = await tempDir("pgbouncer");
  stack.defer(dir.remove);
  const { hostname, port, username, password, pathname } = new URL(url);
  const name = pathname.slice(1);
  const listenPort = await freePort();
  const filesFor = (mode: PoolMode) => ({
    "users.txt": `"${username}" "${password}"\n`,
    "pgbouncer.ini": `[databases]
${name} = host=${hostname} port=${port} dbname=${name}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${listenPort}
unix_socket_dir =
auth_type = plain
auth_file = ${join(dir.path, "users.txt")}
pool_mode = ${mode}
default_pool_size = 60
`,
  });
  const user = await unprivileged();
  const writeFiles = async (mode: PoolMode) => {
    for (const [file, text] of Object.entries(filesFor(mode))) {
      await writeFile(join(dir.path, file), text);
      if (user) await chown(join(dir.path, file), user.uid, user.gid);
    }
  };
  await writeFiles(poolMode);
  if (user) await chown(dir.path, user.uid, user.gid);
  // PgBouncer refuses to run as root.
  const as = user ? ["setpriv", `--reuid=${user.uid}`, `--regid=${user.gid}`, "--clear-groups"] : [];
  const child = startChild("pgbouncer", [...as, program, join(dir.path, "pgbouncer.ini")], { cwd: "/" });
  stack.defer(async () => void (await child.end("SIGTERM", STOP_TIMEOUT_MS)));
  const pooled = Object.assign(new URL(url), { host: `127.0.0.1:${listenPort}` }).href;
  await until(() => query(pooled, "select 1"), {
    deadlineMs: START_DEADLINE_MS,
    what: "PgBouncer answers",
  }).catch((error: unknown) => {
    throw new Error(`PgBouncer did not start:\n${child.output()}`, { cause: error });
  });
  const usePoolMode = async (mode: PoolMode) => {
    await writeFiles(mode);
    process.kill(child.pid, "SIGHUP");
  };
  return { url: pooled, usePoolMode };
}
