import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { startChild } from "../../fixtures/child.ts";
import { findProgram, type Missing } from "../../fixtures/parts.ts";
import { untilWithin } from "../../fixtures/until.ts";

/** The slowest, the Java generator, takes 5 s by itself on two slow cores. */
const RUN_TIMEOUT_MS = 150_000;
/** Starts twice as fast as with the compilers for programs that run for longer. */
const SHORT_LIVED_JVM = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

export interface Tools {
  /** The folder that `.ci/run` has installed the clients' tools in. */
  dir: string;
  java: string;
}

/** OPENAPI_CLIENTS_DIR is the folder where `.ci/run` installs the tools. */
export function findTools(): Tools | Missing {
  const { OPENAPI_CLIENTS_DIR: dir } = process.env;
  if (!dir) return { missing: "OPENAPI_CLIENTS_DIR does not name the tools that .ci/run installs" };
  for (const folder of ["npm/node_modules", "python/bin", "java"])
    if (!existsSync(join(dir, folder))) return { missing: `OPENAPI_CLIENTS_DIR has no folder ${folder}` };
  const java = findProgram("java");
  return typeof java === "string" ? { dir, java } : java;
}

/** Runs a program to its end in `cwd` and returns what it printed. @throws with that if it fails. */
export async function run(name: string, command: string[], cwd: string): Promise<string> {
  const { PATH = "", HOME = "" } = process.env;
  const env = { PATH, HOME, NO_COLOR: "1", REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" };
  const child = startChild(name, command, { cwd, env });
  try {
    await untilWithin(RUN_TIMEOUT_MS, `${name} ends`, () => child.exitCode() !== undefined);
    if (child.exitCode() !== 0)
      throw new Error(`${name} failed with ${child.exitCode()}:\n${child.output()}`);
    return child.output();
  } finally {
    await child.end("SIGTERM", 1000);
  }
}

/** A program of an npm package, by its file. */
export const npmProgram = ({ dir }: Tools, file: string): string[] => [
  process.execPath,
  join(dir, "npm/node_modules", file),
];

export const pythonProgram = ({ dir }: Tools, name: string): string => join(dir, "python/bin", name);

export async function javaJars({ dir }: Tools): Promise<{ generator: string; libraries: string[] }> {
  const jars = (await readdir(join(dir, "java"))).filter((name) => name.endsWith(".jar"));
  const isGenerator = (name: string) => name.startsWith("openapi-generator-cli-");
  const path = (name: string) => join(dir, "java", name);
  return {
    generator: path(jars.find(isGenerator) ?? "openapi-generator-cli.jar"),
    libraries: jars.filter((name) => !isGenerator(name)).map(path),
  };
}

/** Runs a class or a jar, or the compiler, which Debian's headless Java has as a module without its program. */
export const javaCommand = ({ java }: Tools, ...args: string[]): string[] => [
  java,
  ...SHORT_LIVED_JVM,
  ...args,
];
export const javacCommand = (tools: Tools, ...args: string[]): string[] =>
  javaCommand(tools, "-m", "jdk.compiler/com.sun.tools.javac.Main", "-proc:none", ...args);
