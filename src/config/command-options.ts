import { type ParseArgsOptionsConfig, parseArgs } from "node:util";
import { ConfigError } from "./config.ts";
import { meantBy } from "./spelling.ts";

/** The option of every command. */
const HELP_OPTION = { help: { type: "boolean", short: "h" } } as const;
/** A single dash before a whole word, as other programs accept it. */
const SINGLE_DASH_WORD = /^-[a-z][\w-]+$/i;

/**
 * Parses the options and arguments of a command.
 * @throws {ConfigError} naming the wrong word and the one that was probably meant
 */
export function readOptions<const Options extends ParseArgsOptionsConfig>(args: string[], options: Options) {
  const known = { ...options, ...HELP_OPTION };
  const fault = faultOf(args, known);
  if (fault !== undefined) throw new ConfigError(fault);
  return parseArgs({ args, options: known, allowPositionals: true });
}

/** Returns an error text for a word that is not in `known`, with the closest known word. */
export function unknownWord(kind: string, given: string, known: readonly string[]): string {
  const meant = meantBy(given, known);
  const advice = meant === undefined ? `use one of ${known.join(", ")}` : `did you mean ${meant}?`;
  return `${given}: no such ${kind}: ${advice}`;
}

function faultOf(args: string[], options: ParseArgsOptionsConfig): string | undefined {
  const { tokens } = parseArgs({ args, options, allowPositionals: true, strict: false, tokens: true });
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const { name, rawName, value, inlineValue, index } = token;
    const option = Object.hasOwn(options, name) ? options[name] : undefined;
    const word = args[index] ?? "";
    if (SINGLE_DASH_WORD.test(word)) return unknownOption(word, options);
    if (option === undefined) return unknownOption(rawName, options);
    if (option.type === "boolean" && value !== undefined) return `${rawName}: takes no value`;
    const isMissing = value === undefined || (!inlineValue && /^-./.test(value));
    if (option.type === "string" && isMissing) return `${rawName}: needs a value`;
  }
  return undefined;
}

function unknownOption(given: string, options: ParseArgsOptionsConfig): string {
  const known = Object.keys(options);
  const bare = given.replace(/^-+/, "");
  const isKnown = known.includes(bare);
  return unknownWord(
    "option",
    given,
    known.map((name) => `--${name}`).filter((name) => !isKnown || name === `--${bare}`),
  );
}
