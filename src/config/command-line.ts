import packageJson from "../../package.json" with { type: "json" };
import { ConfigError, variables } from "./config.ts";
import { meantBy } from "./spelling.ts";

/** The command for a reader without Bun on PATH. */
export const RUN = `npx -y ${packageJson.packageManager}`;
export const START = `${RUN} start`;

const COMMANDS = ["keys", "migrate", "verify", "republish", "topic", "help"] as const;
const OPTIONS = ["--help", "--version", "--config-table"] as const;

export type Command =
  | { kind: "start" | "help" | "version" | "config-table" }
  | { kind: "keys" | "migrate" | "verify" | "republish" | "topic" | "process"; args: string[] };

/**
 * Reads the command from the arguments.
 * @param process internal first argument of an engine process that the primary starts
 * @throws {ConfigError} with one line that names the word that was probably meant
 */
export function readCommand([subject, ...args]: string[], process: string): Command {
  switch (subject) {
    case undefined:
      return { kind: "start" };
    case "keys":
    case "migrate":
    case "verify":
    case "republish":
    case "topic":
      return { kind: subject, args };
    case process:
      return { kind: "process", args };
    case "help":
    case "--help":
    case "-h":
      return { kind: "help" };
    case "--version":
    case "-v":
      return { kind: "version" };
    case "--config-table":
      return { kind: "config-table" };
    default:
      throw new ConfigError(faultOf(subject, args));
  }
}

function faultOf(subject: string, args: string[]): string {
  const [name = "", value] = subject.split("=", 2);
  // `--port 9000`, `--port=9000`, or `PORT=9000` after the command instead of before it.
  const variable = settingOf(name);
  if (variable !== undefined && (subject.startsWith("-") || value !== undefined)) {
    // Never repeats the value of a secret, nor a value that a shell would split.
    const given = value ?? args[0] ?? "";
    const shown = !variables.secret.includes(variable) && /^[\w.:/,-]+$/.test(given) ? given : "...";
    return `${name}: settings are environment variables: run ${variable}=${shown} ${START}`;
  }
  const known = subject.startsWith("-") ? OPTIONS : COMMANDS;
  const meant = meantBy(subject, known);
  const kind = subject.startsWith("-") ? "option" : "command";
  if (meant !== undefined) return `${subject}: no such ${kind}: run ${START} ${meant}`;
  return `${subject}: no such ${kind}: ${START} takes ${known.join(", ")} or nothing; see --help`;
}

function settingOf(name: string): string | undefined {
  const variable = name.replace(/^-+/, "").replaceAll("-", "_").toUpperCase();
  return variables.all.includes(variable) ? variable : meantBy(variable, variables.all);
}

/** Returns a line for each variable that is not a setting but looks like a misspelt one. */
export function misspelt(environment: Record<string, string | undefined>): string[] {
  return Object.keys(environment).flatMap((name) => {
    const bare = name.replace(/^SENTINEL_/i, "");
    const meant = variables.all.includes(bare) ? bare : meantBy(bare, variables.all);
    const isSetting = variables.all.includes(name) || variables.others.includes(name);
    // If both are set, the similar name belongs to another program.
    return meant === undefined || isSetting || environment[meant]
      ? []
      : [`${name}: no such setting, so it is ignored: did you mean ${meant}?`];
  });
}
