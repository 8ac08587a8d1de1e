import { chmod, mkdir, symlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { tempDir } from "../fixtures/temp-dir.ts";

const ROOT = resolve(import.meta.dir, "../..");

/** What a fresh machine has beside Node and npm: no Bun, no Redis, no Java, no setpriv. */
const PROGRAMS = [
  "node",
  "npm",
  "npx",
  "sh",
  "env",
  "ls",
  "cat",
  "mkdir",
  "rm",
  "cp",
  "mv",
  "chmod",
  "uname",
  "dirname",
];

export interface BareMachine {
  /** A copy of the repository without its packages, in a folder that only its owner can enter, as root's home is. */
  clone: string;
  env: Record<string, string>;
}

/** Closed with `stack`. npm's own folder stays the user's, so that Bun is fetched once. */
export async function openBareMachine(stack: AsyncDisposableStack): Promise<BareMachine> {
  const dir = await tempDir("bare");
  stack.defer(dir.remove);
  await chmod(dir.path, 0o700);
  const bin = join(dir.path, "bin");
  await mkdir(bin);
  for (const name of PROGRAMS) {
    const path = Bun.which(name);
    if (path === null) throw new Error(`no ${name} is on PATH`);
    await symlink(path, join(bin, name));
  }
  const clone = join(dir.path, "sentinel");
  await copyRepository(clone);
  return { clone, env: { PATH: bin, HOME: process.env["HOME"] ?? dir.path, TERM: "xterm" } };
}

/** What git knows, as it is in the working tree. */
async function copyRepository(target: string): Promise<void> {
  const listed = Bun.spawnSync(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
  });
  if (!listed.success) throw new Error(`git cannot list the repository: ${listed.stderr.toString()}`);
  for (const name of listed.stdout.toString().split("\0").filter(Boolean)) {
    const source = Bun.file(join(ROOT, name));
    if (!(await source.exists())) continue;
    await mkdir(dirname(join(target, name)), { recursive: true });
    await Bun.write(join(target, name), source);
    await chmod(join(target, name), (await source.stat()).mode & 0o777);
  }
}

export interface Terminal {
  /** Everything that was printed. */
  output(): string;
  press(keys: string): void;
  exited: Promise<number>;
  kill(): void;
}

/** Runs a command in a terminal of its own, as a person does. */
export function openTerminal(
  command: string[],
  { clone, env }: BareMachine,
  more: Record<string, string>,
): Terminal {
  let printed = "";
  const decoder = new TextDecoder();
  const child = Bun.spawn(command, {
    cwd: clone,
    env: { ...env, ...more },
    terminal: {
      cols: 200,
      rows: 50,
      data: (_terminal, bytes) => {
        printed += decoder.decode(bytes, { stream: true });
      },
    },
  });
  return {
    output: () => printed,
    press: (keys) => void child.terminal?.write(keys),
    exited: child.exited,
    kill: () => child.kill("SIGKILL"),
  };
}
