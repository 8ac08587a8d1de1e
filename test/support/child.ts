import { within } from "./until.ts";

/** Enough to see why a start failed; a talkative server must not fill the test's memory. */
const OUTPUT_LIMIT_CHARS = 64_000;
const KILL_TIMEOUT_MS = 5_000;

/** A process that was started here and is ended here, by its id and nothing else. */
export interface Child {
  pid: number;
  /** The newest part of what it wrote, stdout and stderr together. */
  output(): string;
  /** The exit code (128 + the signal's number when a signal ended it), or undefined while it runs. */
  exitCode(): number | undefined;
  /** Stops it from running at all (SIGSTOP): it keeps its sockets and answers nobody. */
  pause(): void;
  resume(): void;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
  /** Asks it to end, and kills it when it has not within the timeout. May be called again. */
  end(signal: NodeJS.Signals, timeoutMs: number): Promise<number>;
}

const running = new Map<number, { name: string; child: Child }>();

export function startChild(
  name: string,
  command: string[],
  options: { env?: Record<string, string>; cwd?: string } = {},
): Child {
  let output = "";
  let exitCode: number | undefined;
  const spawned = Bun.spawn(command, { ...options, stdin: "ignore", stdout: "pipe", stderr: "pipe" });

  const collect = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    for await (const bytes of stream) {
      output = (output + decoder.decode(bytes, { stream: true })).slice(-OUTPUT_LIMIT_CHARS);
    }
  };
  // A pipe that breaks when the process is killed is no news; its exit is seen below.
  const collected = Promise.allSettled([collect(spawned.stdout), collect(spawned.stderr)]);
  const gone = spawned.exited.then((code) => {
    exitCode = code;
    running.delete(spawned.pid);
    return code;
  });

  const kill = async () => {
    if (exitCode === undefined) spawned.kill("SIGKILL");
    await within(gone, KILL_TIMEOUT_MS, `${name} (pid ${spawned.pid}) to be gone after SIGKILL`);
  };
  const child: Child = {
    pid: spawned.pid,
    output: () => output,
    exitCode: () => exitCode,
    pause: () => spawned.kill("SIGSTOP"),
    resume: () => spawned.kill("SIGCONT"),
    kill,
    async end(signal, timeoutMs) {
      if (exitCode === undefined) {
        spawned.kill(signal);
        spawned.kill("SIGCONT");
        await within(gone, timeoutMs, name).catch(kill);
        // A grandchild may have inherited the pipe and hold it open: the last words are waited for briefly.
        await within(collected, 200, name).catch(() => {});
      }
      return gone;
    },
  };
  running.set(spawned.pid, { name, child });
  return child;
}

/** Ends whatever no test has closed, and says what that was. */
export async function endLeftChildren(): Promise<string[]> {
  const left = [...running.values()];
  await Promise.all(left.map(({ child }) => child.kill()));
  return left.map(({ name, child }) => `${name} (pid ${child.pid})`);
}

process.on("exit", () => {
  for (const pid of running.keys()) process.kill(pid, "SIGKILL");
});
