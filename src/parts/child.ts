import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { LOOPBACK } from "../config/config.ts";

/**
 * A shell script that runs a command and cannot outlive this process. It reads a pipe whose other end only
 * this process has, and interrupts the command when the pipe closes, which also happens at `kill -9`. It runs
 * in its own session, so that Ctrl-C reaches only the engine, which stops its parts in order.
 */
const GUARD = `
exec 3<&0
"$@" </dev/null 3<&- & child=$!
{ while read -r line; do :; done; kill -INT "$child"; } <&3 2>/dev/null & watcher=$!
wait "$child"; code=$?
kill "$watcher" 2>/dev/null
exit "$code"`;

/** How much of a part's output is kept to explain a failed start. */
const OUTPUT_LIMIT_CHARACTERS = 4000;

/** The user a part runs as, if it must not run as root. */
export interface Identity {
  uid: number;
  gid: number;
}

export interface GuardedChild {
  /** Resolves to true once the output contains the text, or to false if the process ends first. */
  saw(text: string): Promise<boolean>;
  /** The last output, for an error message. */
  output(): string;
  /** Interrupts the process and resolves when it has ended. */
  stop(): Promise<void>;
}

/** Starts `command` under the guard. Its output is always read and never shown. */
export function spawnGuarded(
  command: string[],
  { cwd, identity }: { cwd?: string; identity?: Identity | undefined } = {},
): GuardedChild {
  const child: ChildProcess = spawn("/bin/sh", ["-c", GUARD, "guard", ...command], {
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
    ...(cwd !== undefined && { cwd }),
    ...identity,
  });
  let output = "";
  let ended = false;
  const listeners = new Set<() => void>();
  const notify = () => {
    for (const listener of listeners) listener();
  };
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-OUTPUT_LIMIT_CHARACTERS);
    notify();
  };
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  child.on("error", (error) => keep(Buffer.from(error.message)));
  const exited = new Promise<void>((resolve) => {
    child.on("close", () => {
      ended = true;
      resolve();
      notify();
    });
  });
  return {
    saw: (text) =>
      new Promise((resolve) => {
        const look = () => {
          const seen = output.includes(text);
          if (!seen && !ended) return;
          listeners.delete(look);
          resolve(seen);
        };
        listeners.add(look);
        look();
      }),
    output: () => output,
    stop: async () => {
      child.stdin?.end();
      await exited;
    },
  };
}

/** Returns a TCP port on loopback that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on("error", reject);
    probe.listen(0, LOOPBACK, () => {
      const address = probe.address();
      probe.close(() =>
        typeof address === "object" && address ? resolve(address.port) : reject(new Error("no free port")),
      );
    });
  });
}
