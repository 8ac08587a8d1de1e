import { type Config, ConfigError } from "../config/config.ts";
import { hasCluster } from "../parts/home.ts";
import { findRunningPostgres } from "../parts/parts.ts";
import { EMBEDDED_DATABASE, startEmbeddedPostgres } from "../parts/postgres.ts";
import { messageOf, originOf } from "../telemetry/log.ts";

/**
 * Returns the URL of the database that a command works on: DATABASE_URL, or the one in DATA_DIR. If no engine
 * runs on DATA_DIR, its Postgres is started and lives as long as `stack`.
 * @throws {ConfigError} if there is no database
 */
export async function databaseUrlOf(config: Config, stack: AsyncDisposableStack): Promise<string> {
  if (config.databaseUrl !== undefined) return config.databaseUrl;
  const running = await findRunningPostgres(config);
  if (running !== undefined) return running;
  const { dataDir } = config;
  if (!hasCluster(dataDir))
    throw new ConfigError(
      `DATABASE_URL: not set, and ${dataDir} contains no database: set DATABASE_URL or DATA_DIR to the engine's value`,
    );
  const postgres = await startEmbeddedPostgres(dataDir);
  stack.defer(postgres.stop);
  const url = new URL(postgres.url);
  url.pathname = `/${EMBEDDED_DATABASE}`;
  return url.href;
}

/** @throws {ConfigError} always, saying why the database could not be opened and what to do */
export const databaseFault =
  (databaseUrl: string) =>
  (error: unknown): never => {
    throw new ConfigError(
      `DATABASE_URL: ${originOf(databaseUrl)} cannot be used (${messageOf(error)}): start that Postgres or correct the URL`,
    );
  };

/** @throws {ConfigError} always, saying why the brokers could not be asked and what to do */
export const brokersFault =
  (brokers: string[]) =>
  (error: unknown): never => {
    throw new ConfigError(
      `KAFKA_BROKERS: ${brokers.join(", ")} cannot be used (${messageOf(error)}): start Kafka or correct the addresses`,
    );
  };
