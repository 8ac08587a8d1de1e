import { userInfo } from "node:os";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { z } from "zod";
import { START } from "../config/command-line.ts";
import { readOptions } from "../config/command-options.ts";
import { type Config, ConfigError } from "../config/config.ts";
import { meantBy } from "../config/spelling.ts";
import { ROLES } from "../http/caller.ts";
import { plainText } from "../http/plain-text.ts";
import { findRunningPostgres, openPostgres } from "../parts/parts.ts";
import type { ActOrigin } from "../postgres/admin-log.ts";
import { type ApiKeyView, addApiKey, listApiKeys, revokeApiKey } from "../postgres/api-keys.ts";
import { type Database, openDatabase } from "../postgres/connect.ts";
import { never } from "../runtime/assert.ts";
import { Lifecycle } from "../runtime/lifecycle.ts";
import { messageOf, originOf } from "../telemetry/log.ts";
import { makeApiKey, NAME_LIMIT_CHARACTERS } from "./api-key.ts";
import { PAGE_LIMIT } from "./contract.ts";

export const KEYS_USAGE = `${START} keys create --role <${ROLES.join("|")}> [--name <what it is for>]
       ${START} keys list
       ${START} keys revoke <id>`;

const HELP = `Usage: ${KEYS_USAGE}

Creates, lists and revokes API keys in the engine's database (DATABASE_URL, or the one in DATA_DIR).
Standard output has only the key or the table.`;

/** The name of a key created without one. */
const UNNAMED = "unnamed";

const nameSchema = plainText(NAME_LIMIT_CHARACTERS);

const VERBS = ["create", "list", "revoke", "help"] as const;

type Command =
  | { kind: "help" }
  | { kind: "create"; role: (typeof ROLES)[number]; name: string }
  | { kind: "list" }
  | { kind: "revoke"; id: string };

/**
 * Runs `start keys ...`. Standard output has only the key (create) or the table (list), so that a shell can
 * use it; everything else goes to standard error.
 * @throws {ConfigError} with one line that says what to do
 */
export async function keysCommand(args: string[], readConfig: () => Config): Promise<void> {
  const command = readCommand(args);
  if (command.kind === "help") return console.log(HELP);
  const config = readConfig();
  const lifecycle = new Lifecycle();
  try {
    const where = config.databaseUrl ? originOf(config.databaseUrl) : config.dataDir;
    await run(command, await openKeysDatabase(config, lifecycle), where);
  } finally {
    await lifecycle.close();
  }
}

function readCommand(args: string[]): Command {
  const unusable = (fault: string) => new ConfigError(`keys: ${fault}\nUsage: ${KEYS_USAGE}`);
  let parsed: { values: { role?: string; name?: string; help?: boolean }; positionals: string[] };
  try {
    parsed = readOptions(args, { role: { type: "string" }, name: { type: "string" } });
  } catch (error) {
    throw unusable(messageOf(error));
  }
  const { values, positionals } = parsed;
  const [verb, ...rest] = positionals;
  if (values.help || verb === "help") return { kind: "help" };
  const isPlain = values.role === undefined && values.name === undefined;
  if (verb === "create" && rest.length === 0) {
    const role = z.enum(ROLES).safeParse(values.role).data;
    if (!role) throw unusable(`--role must be one of ${ROLES.join(", ")}${suggestion(values.role, ROLES)}`);
    const name = nameSchema.safeParse(values.name ?? UNNAMED).data;
    if (name === undefined)
      throw unusable(`--name must be 1 to ${NAME_LIMIT_CHARACTERS} characters of plain text`);
    return { kind: "create", role, name };
  }
  if (verb === "list" && rest.length === 0 && isPlain) return { kind: "list" };
  if (verb === "revoke" && rest.length === 1 && isPlain) {
    const id = z.uuid().safeParse(rest[0]).data;
    if (id === undefined) throw unusable("revoke needs the id from `keys list`, not the key");
    return { kind: "revoke", id };
  }
  throw unusable(`the command is missing or unknown${suggestion(verb, VERBS)}`);
}

/** Repeats the given word only with a suggestion, because another word may be a key. */
function suggestion(given: string | undefined, known: readonly string[]): string {
  const meant = given === undefined ? undefined : meantBy(given, known);
  return meant === undefined ? "" : `: did you mean ${meant}?`;
}

/**
 * Opens the database of DATABASE_URL, or the one in DATA_DIR: of the engine running there, or started for
 * this command.
 */
async function openKeysDatabase(config: Config, lifecycle: Lifecycle): Promise<Database> {
  const running = async () => (config.databaseUrl ? undefined : findRunningPostgres(config));
  const opened = () =>
    openPostgres(config, lifecycle).then(
      ({ url }) => url,
      // An engine that started at this moment may have been faster.
      async (error: unknown) => {
        const url = await running();
        if (url === undefined) throw error;
        return url;
      },
    );
  const url = (await running()) ?? (await opened());
  const database = openDatabase(
    {
      databaseUrl: url,
      name: "sentinel-keys",
      connectionLimit: 1,
      statementTimeoutMs: config.statementTimeoutMs,
      connectTimeoutMs: config.connectTimeoutMs,
    },
    () => undefined,
  );
  lifecycle.onClose("pool", () => database.$client.end());
  return database;
}

/** @param where the database's location, without a secret */
async function run(
  command: Exclude<Command, { kind: "help" }>,
  database: NodePgDatabase,
  where: string,
): Promise<void> {
  switch (command.kind) {
    case "create": {
      const { id, key, keyHash } = makeApiKey();
      await addApiKey(database, { id, keyHash, role: command.role, name: command.name }, originHere());
      console.error(
        `API key ${id} (${command.role}, ${command.name}) in the database of ${where}: store it now, it cannot be shown again`,
      );
      console.log(key);
      return;
    }
    case "list":
      for await (const line of tableOf(allKeys(database))) console.log(line);
      return;
    case "revoke":
      if (!(await revokeApiKey(database, command.id, originHere()))) {
        throw new ConfigError(`keys: there is no API key ${command.id}: run ${START} keys list to see all`);
      }
      console.error(`API key ${command.id} is revoked; every engine knows within 2 s`);
      return;
    default:
      never(command, "command for keys");
  }
}

/** Bun's name for every user if `USER` is not set, as under cron or `docker exec`. */
const NAMELESS = "unknown";

/**
 * Returns who ran the command, for the administration log: the user's name, or the number of a user without a
 * name.
 */
function originHere(): ActOrigin {
  let user = NAMELESS;
  try {
    user = userInfo().username.replaceAll(/[|\p{Cc}]/gu, "");
  } catch {
    // The number is enough.
  }
  if (user === NAMELESS) user = String(process.getuid?.() ?? NAMELESS);
  return { actor: `command:${user}`, reason: null };
}

async function* allKeys(database: NodePgDatabase): AsyncGenerator<ApiKeyView> {
  for (let after: string | undefined; ; ) {
    const page = await listApiKeys(database, { after, limit: PAGE_LIMIT });
    yield* page;
    after = page.at(-1)?.keyId;
    if (page.length < PAGE_LIMIT) return;
  }
}

async function* tableOf(keys: AsyncIterable<ApiKeyView>): AsyncGenerator<string> {
  yield `${"id".padEnd(36)}  role    created               revoked               name`;
  for await (const { keyId, role, createdAt, revokedAt, name } of keys) {
    yield `${keyId}  ${role.padEnd(6)}  ${second(createdAt)}  ${revokedAt ? second(revokedAt) : "-".padEnd(20)}  ${name}`;
  }
}

const second = (time: Date) => time.toISOString().replace(/\.\d+/, "");
