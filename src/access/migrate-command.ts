import { START } from "../config/command-line.ts";
import { readOptions } from "../config/command-options.ts";
import { type Config, ConfigError } from "../config/config.ts";
import { openPostgres } from "../parts/parts.ts";
import { openUnpooled } from "../postgres/connect.ts";
import { grantPrivileges } from "../postgres/privileges.ts";
import { Lifecycle } from "../runtime/lifecycle.ts";
import { messageOf, originOf } from "../telemetry/log.ts";

export const MIGRATE_USAGE = `${START} migrate [--grant <role>]`;

const HELP = `Usage: ${MIGRATE_USAGE}

Brings the database of DATABASE_URL up to date and exits. Engines can then run as a role that owns nothing.

  --grant    grants that role the privileges that an engine needs, and no more`;

/**
 * Runs the `migrate` command.
 * @throws {ConfigError} with one line that says what to do
 */
export async function migrateCommand(args: string[], readConfig: () => Config): Promise<void> {
  const options = readCommand(args);
  if (options === "help") return console.log(HELP);
  const { grant: role } = options;
  const config = readConfig();
  const { databaseUrl, connectTimeoutMs } = config;
  if (!databaseUrl)
    throw new ConfigError("migrate: DATABASE_URL is not set: give the URL of the role that owns the tables");
  await openPostgres(config, new Lifecycle());
  console.error(`the database of ${originOf(databaseUrl)} is up to date`);
  if (role === undefined) return;
  const client = await openUnpooled({ databaseUrl, connectTimeoutMs, name: "sentinel-migrations" });
  try {
    await grantPrivileges(client, role);
    console.error(`role "${role}" has the privileges that an engine needs`);
  } catch (error) {
    throw new ConfigError(
      `migrate: role "${role}" could not be given its privileges (${messageOf(error)}): create it, or use the URL of the role that owns the tables`,
    );
  } finally {
    await client.end();
  }
}

function readCommand(args: string[]): "help" | { grant?: string } {
  try {
    const { values, positionals } = readOptions(args, { grant: { type: "string" } });
    const [word] = positionals;
    if (values.help || word === "help") return "help";
    if (word !== undefined) throw new ConfigError(`it takes no ${word}`);
    return values;
  } catch (error) {
    throw new ConfigError(`migrate: ${messageOf(error)}\nUsage: ${MIGRATE_USAGE}`);
  }
}
