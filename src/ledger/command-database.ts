import { type Config, ConfigError } from "../config.ts";
import { hasCluster } from "../embedded/home.ts";
import { findRunningPostgres } from "../embedded/parts.ts";
import { EMBEDDED_DATABASE, startEmbeddedPostgres } from "../embedded/postgres.ts";

/**
 * The database that a command works on: DATABASE_URL, or the one in DATA_DIR. If no engine runs there, its Postgres is
 * started for as long as `stack` lives.
 * @throws {ConfigError} if there is no database.
 */
export async function databaseUrlOf(config: Config, stack: AsyncDisposableStack): Promise<string> {
  if (config.databaseUrl !== undefined) return config.databaseUrl;
  const running = await findRunningPostgres(config);
  if (running !== undefined) return running;
  const { dataDir } = config;
  if (!hasCluster(dataDir))
    throw new ConfigError(
      `DATABASE_URL: not set, and there is no database in ${dataDir}: set it, or DATA_DIR, as for the engine`,
    );
  const postgres = await startEmbeddedPostgres(dataDir);
  stack.defer(postgres.stop);
  const url = new URL(postgres.url);
  url.pathname = `/${EMBEDDED_DATABASE}`;
  return url.href;
}
