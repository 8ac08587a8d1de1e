import { resolve } from "node:path";
import { freePort } from "../fixtures/free-port.ts";
import { tellSkipped } from "../fixtures/parts.ts";

const ROOT = resolve(import.meta.dir, "../..");
/** Beyond what any start may take; a command that hangs is ended here, not by the test's own limit. */
const HANG_TIMEOUT_MS = 30_000;
/** `nobody` on every common system. */
export const ORDINARY_USER = 65534;

export interface Ended {
  exitCode: number;
  stdout: string;
  stderr: string;
  ms: number;
}

/** Runs the engine as a command that is expected to end by itself, and gives what it said where. */
export async function runEngine(
  env: Record<string, string>,
  { args = [], as = [] }: { args?: string[]; as?: string[] } = {},
): Promise<Ended> {
  const startedAt = performance.now();
  const child = Bun.spawn([...as, ...engineCommand, ...args], {
    ...{ cwd: ROOT, env: await engineEnvironment(env), timeout: HANG_TIMEOUT_MS, killSignal: "SIGKILL" },
    ...{ stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  });
  const [stdout, stderr, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exitCode, stdout, stderr, ms: performance.now() - startedAt };
}

export const engineCommand = [process.execPath, "src/main.ts"];

/** As `startEngine` gives it: nothing of the test's own, a free port, loopback only. */
export async function engineEnvironment(env: Record<string, string>) {
  const { PATH = "", HOME = "" } = process.env;
  return { PATH, HOME, HOST: "127.0.0.1", PORT: String(await freePort()), DRAIN_DELAY_MS: "100", ...env };
}

/**
 * What to put before a command so that an ordinary user runs it; nothing where the tests are one already;
 * undefined, and said so, where there is no way.
 */
export function asOrdinaryUser(): string[] | undefined {
  if (process.getuid?.() !== 0) return [];
  const { PATH = "" } = process.env;
  const id = String(ORDINARY_USER);
  const prefix = ["setpriv", "--reuid", id, "--regid", id, "--clear-groups"];
  if (!Bun.which("setpriv")) {
    tellSkipped("setpriv", "no setpriv is on PATH");
    return undefined;
  }
  const readable = Bun.spawnSync([...prefix, process.execPath, "src/main.ts", "--version"], {
    cwd: ROOT,
    env: { PATH, HOME: "/" },
  });
  if (readable.success) return prefix;
  tellSkipped("setpriv", readable.stderr.toString().trim());
  return undefined;
}
