import { startEngine } from "../fixtures/engine.ts";
import { untilWithin } from "../fixtures/until.ts";

const END_DEADLINE_MS = 20_000;

export type Engine = Awaited<ReturnType<typeof startEngine>>;

/**
 * An engine that is closed with `stack`. Whatever its test did to the parts around it, it must then end with 0
 * (unless the test has ended it already).
 */
export async function openEngine(
  stack: AsyncDisposableStack,
  env: Record<string, string> = {},
  options?: Parameters<typeof startEngine>[1],
): Promise<Engine> {
  const engine = await startEngine(env, options);
  stack.defer(async () => {
    const endedBefore = engine.exitCode() !== undefined;
    const exitCode = await engine.stop();
    if (!endedBefore && exitCode !== 0)
      throw new Error(`the engine ended with ${exitCode}:\n${engine.output()}`);
  });
  return engine;
}

/** Waits for an engine that was told to end. */
export async function exitCodeOf(engine: Engine, deadlineMs = END_DEADLINE_MS): Promise<number> {
  await untilWithin(deadlineMs, "the engine ends", () => engine.exitCode() !== undefined);
  return engine.exitCode() ?? -1;
}

/** The log as objects. */
export function logLines(engine: Pick<Engine, "output">): LogLine[] {
  return linesOf(engine)
    .filter(isLog)
    .map((line) => JSON.parse(line));
}

/** Whatever it wrote that is not its log. */
export function strayLines(engine: Pick<Engine, "output">): string[] {
  return linesOf(engine).filter((line) => !isLog(line));
}

const isLog = (line: string) => line.startsWith("{");

const linesOf = ({ output }: Pick<Engine, "output">) =>
  output()
    .split("\n")
    .filter((line) => line.length > 0);

export interface LogLine {
  level: number;
  time: string;
  pid: number;
  thread: string;
  msg: string;
  redis?: string;
  kafka?: string;
  /** Of a fault. */
  reason?: string;
  error?: string;
  /** Of several Redis masters, from 1. */
  master?: number;
  url?: string;
  culprit?: string;
}
