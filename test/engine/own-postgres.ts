import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "pg";
import { type GuardedChild, spawnGuarded } from "../../src/parts/child.ts";
import { startEmbeddedPostgres } from "../../src/parts/postgres.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";

/** A Postgres of one test file, which may be stopped and started; the shared one serves other files. */
export interface OwnPostgres {
  url: string;
  /** As an operator does: open sessions are told to go, new ones are refused. */
  stop(): Promise<void>;
  /** At the same address, with the same data; nothing where it runs. */
  start(): Promise<void>;
  /** SIGKILL to the postmaster: its processes see that and go, and `start` finds the data as they left them. */
  kill(): Promise<void>;
  /** Kills the process behind one session; Postgres then ends all sessions and recovers from its log. */
  crash(): Promise<void>;
}

export async function openOwnPostgres(stack: AsyncDisposableStack): Promise<OwnPostgres> {
  const dir = await openFolder(stack, "own-postgres");
  const first = await startEmbeddedPostgres(dir);
  let running: Pick<GuardedChild, "stop"> | undefined = first;
  const stop = async () => {
    await running?.stop();
    running = undefined;
  };
  stack.defer(stop);
  // Postgres notes its command line beside its data, port included: the only way to start it at the same one.
  const noted = await readFile(join(first.folder, "postmaster.opts"), "utf8");
  const { uid, gid } = await stat(first.folder);

  return {
    url: first.url,
    stop,
    start: async () => {
      if (running) return;
      const [program = "", ...options] = [...noted.matchAll(/"([^"]*)"|(\S+)/g)].map(
        ([, quoted, plain]) => quoted ?? plain ?? "",
      );
      // The processes of a postmaster that was killed hold its memory for a moment longer.
      await until("Postgres starts again", async () => {
        const child = spawnGuarded(
          [program, ...options],
          process.getuid?.() === 0 ? { identity: { uid, gid } } : {},
        );
        running = child;
        if (await child.saw("ready to accept connections")) return true;
        throw new Error(child.output());
      });
    },
    kill: async () => {
      const [pid = ""] = (await readFile(join(first.folder, "postmaster.pid"), "utf8")).split("\n");
      process.kill(Number(pid), "SIGKILL");
      await stop();
    },
    crash: async () => {
      const client = new Client({ connectionString: first.url });
      client.on("error", () => undefined);
      await client.connect();
      const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
      process.kill(rows[0]?.pid ?? Number.NaN, "SIGKILL");
      await client.end().catch(() => undefined);
      await until("Postgres has recovered from its crash", () => answers(first.url));
    },
  };
}

async function answers(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2000 });
  client.on("error", () => undefined);
  try {
    await client.connect();
    return true;
  } finally {
    await client.end().catch(() => undefined);
  }
}
