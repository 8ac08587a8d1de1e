import { parseArgs } from "node:util";
import { START } from "../command-line.ts";
import { type Config, ConfigError } from "../config.ts";
import { openPostgres } from "../embedded/parts.ts";
import { Lifecycle } from "../lifecycle.ts";
import { openUnpooled } from "../postgres/connect.ts";
import { grantPrivileges } from "../postgres/privileges.ts";
import { messageOf, originOf } from "../telemetry/log.ts";

export const MIGRATE_USAGE = `${START} migrate [--grant <role>]`;

const HELP = `Usage: ${MIGRATE_USAGE}

Brings the database of DATABASE_URL up to date and ends. Engines may then run as a role that owns nothing.

  --grant    gives that role what an engine needs, and no more`;

/** Runs the `migrate` command. @throws {ConfigError} in one line that says what to do. */
export async function migrateCommand(args: string[], readConfig: () => Config): Promise<void> {
  const { help = false, grant: role } = readOptions(args);
  if (help) return console.log(HELP);
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
    console.error(`role "${role}" has what an engine needs there`);
  } catch (error) {
    throw new ConfigError(
      `migrate: role "${role}" could not be given its privileges (${messageOf(error)}): create it, or use the URL of the role that owns the tables`,
    );
  } finally {
    await client.end();
  }
}

function readOptions(args: string[]): { help?: boolean; grant?: string } {
  try {
    const options = { help: { type: "boolean", short: "h" }, grant: { type: "string" } } as const;
    return parseArgs({ args, options }).values;
  } catch (error) {
    throw new ConfigError(`migrate: ${messageOf(error)}\nUsage: ${MIGRATE_USAGE}`);
  }
}
