import { never } from "./runtime/assert.ts";
import "./engine/preflight.ts";
import packageJson from "../package.json" with { type: "json" };
import { KEYS_USAGE, keysCommand } from "./access/command.ts";
import { MIGRATE_USAGE, migrateCommand } from "./access/migrate-command.ts";
import { misspelt, readCommand, START } from "./config/command-line.ts";
import { type Config, describeConfig, readConfig } from "./config/config.ts";
import { kafkaSecurityOf } from "./config/credential-relations.ts";
import { type Engine, openEngine } from "./engine/compose.ts";
import { Ending } from "./engine/processes/ending.ts";
import { ENGINE_PROCESS } from "./engine/processes/messages.ts";
import { joinPrimary } from "./engine/processes/one-of-several.ts";
import { openProcesses } from "./engine/processes/primary.ts";
import { assertPortsFree } from "./http/port.ts";
import { describeTopic } from "./ledger/sinks/topic-description.ts";
import { TOPIC_USAGE, topicCommand } from "./ledger/topic-command.ts";
import { findOwner } from "./parts/postgres.ts";
import { REPUBLISH_USAGE, republishCommand } from "./proof/republish-command.ts";
import { openEventStore, VERIFY_USAGE, verifyCommand } from "./proof/verify/command.ts";
import { openTopicReader } from "./proof/verify/topic-reader.ts";
import { Lifecycle } from "./runtime/lifecycle.ts";
import { createLog, type Logger, messageOf } from "./telemetry/log.ts";
import type { PartState } from "./telemetry/part-state.ts";

const USAGE = `sentinel ${packageJson.version}: ${packageJson.description}

Usage: ${START} [help | --version | --config-table]
       ${KEYS_USAGE}
       ${MIGRATE_USAGE}
       ${VERIFY_USAGE}
       ${REPUBLISH_USAGE}
       ${TOPIC_USAGE}

Everything is set by environment variables:
`;

const { version } = packageJson;

async function main(): Promise<void> {
  const command = readCommand(process.argv.slice(2), ENGINE_PROCESS);
  switch (command.kind) {
    case "keys":
      tellMisspelt();
      return keysCommand(command.args, () => readConfig(process.env));
    case "migrate":
      tellMisspelt();
      return migrateCommand(command.args, () => readConfig(process.env));
    case "verify":
      tellMisspelt();
      return verifyAndExit(command.args);
    case "republish":
      tellMisspelt();
      return republishAndExit(command.args);
    case "topic":
      tellMisspelt();
      return topicAndExit(command.args);
    case "process":
      return beOneOfSeveral();
    case "help":
      return console.log(USAGE + describeConfig().map(configLine).join("\n"));
    case "version":
      return console.log(version);
    case "config-table":
      return console.log(configTable());
    case "start":
      tellMisspelt();
      return start();
    default:
      never(command, "command");
  }
}

function tellMisspelt(): void {
  for (const line of misspelt(process.env)) console.error(`sentinel: ${line}`);
}

async function start(): Promise<void> {
  const config = readConfig(process.env);
  const log = createLog(config.logLevel, "main");
  const lifecycle = new Lifecycle();
  const ending = new Ending({ config, log, lifecycle });
  ending.heedSignals();
  try {
    const { webConcurrency, databaseUrl, dataDir } = config;
    // If an engine is using DATA_DIR, opening its database waits for it (it may be ending) and names it.
    if (databaseUrl !== undefined || (await findOwner(dataDir)) === undefined) await assertPortsFree(config);
    const engine =
      webConcurrency === 1
        ? await openEngine(config, version, log, lifecycle)
        : await openProcesses(config, log, lifecycle);
    // The first of several processes serves requests before all are ready, so from here on it shuts down in order.
    ending.opened(engine);
    if ("ready" in engine) await engine.ready;
    announce(engine, config, log);
  } catch (error) {
    await lifecycle.close(log);
    throw error;
  }
}

async function verifyAndExit(args: string[]): Promise<void> {
  process.exitCode = await verifyCommand({
    args,
    readConfig: () => readConfig(process.env),
    openTopic: (config) => openTopicReader(config.kafkaBrokers, kafkaSecurityOf(config)),
  });
}

async function republishAndExit(args: string[]): Promise<void> {
  process.exitCode = await republishCommand({
    args,
    readConfig: () => readConfig(process.env),
    openStore: (config) =>
      openEventStore(config, ({ kafkaBrokers }) => openTopicReader(kafkaBrokers, kafkaSecurityOf(config))),
  });
}

async function topicAndExit(args: string[]): Promise<void> {
  process.exitCode = await topicCommand({
    args,
    readConfig: () => readConfig(process.env),
    describeTopic: (config) => describeTopic(config.kafkaBrokers, kafkaSecurityOf(config)),
  });
}

/** Runs one engine process of several (WEB_CONCURRENCY). It reports to its primary what a single engine prints. */
async function beOneOfSeveral(): Promise<void> {
  // A terminal interrupts every process; the primary decides how this one ends.
  process.on("SIGINT", () => undefined);
  const { number, ports, parts, allMetrics, send, onEnd } = await joinPrimary();
  try {
    const config = { ...readConfig(process.env), ...ports };
    const log = createLog(config.logLevel, "main").child({ process: number });
    const lifecycle = new Lifecycle();
    const engine = await openEngine(config, version, log, lifecycle, { parts, allMetrics });
    const ending = new Ending({ config, log, lifecycle });
    ending.opened(engine);
    // A service manager such as systemd signals every process, and the primary then tells each of its own again.
    process.on("SIGTERM", (signal) => ending.begin(config.drainDelayMs, { signal }));
    onEnd((delayMs) => ending.begin(delayMs));
    send({ kind: "ready" });
  } catch (error) {
    send({ kind: "failed", message: messageOf(error) });
    process.exit(1);
  }
}

function announce(engine: Engine, { webConcurrency: processCount, ...config }: Config, log: Logger): void {
  const { url, managementUrl, parts, components } = engine;
  const { postgres, ...described } = parts.description;
  const states = components?.();
  const redis = described.redis + (config.redisUrl ? stateToTell(states?.redis) : "");
  const kafka = described.kafka + (config.kafkaBrokers ? stateToTell(states?.kafka) : "");
  const addresses = {
    api: `${url}/api/v1/bookings/reserve/{seatId}`,
    docs: `${url}/docs`,
    metrics: `${managementUrl}/metrics`,
    health: `${managementUrl}/actuator/health`,
  };
  if (!process.stdout.isTTY) {
    const processes = processCount > 1 && { processes: processCount };
    log.info({ version, url, ...processes, postgres, redis, kafka, ...addresses }, "ready");
    return;
  }
  console.log(`
  Sentinel ${version} is selling at ${url}${processCount > 1 ? ` in ${processCount} processes` : ""}

  Postgres  ${postgres}
  Redis     ${redis}
  Kafka     ${kafka}

  Docs      ${addresses.docs}
  Metrics   ${addresses.metrics}
  Health    ${addresses.health}

  Try       curl -X POST ${url}/api/v1/bookings/reserve/2
  End       Ctrl-C
`);
}

/** Describes the state of a part that the engine does not start itself; empty if it is up. */
function stateToTell(state: PartState = "unknown"): string {
  switch (state) {
    case "unknown":
      return ": UNKNOWN, it has not answered yet";
    case "down":
      return ": DOWN";
    case "up":
      return "";
  }
}

function configLine({ variable, fallback, meaning }: ReturnType<typeof describeConfig>[number]): string {
  return `  ${variable.padEnd(27)} ${meaning} [${fallback}]`;
}

/** Returns the table in `docs/configuration.md`. */
function configTable(): string {
  const rows = describeConfig().map(
    ({ variable, fallback, meaning }) => `| \`${variable}\` | ${fallback} | ${meaning} |`,
  );
  return ["| variable | default | meaning |", "|---|---|---|", ...rows].join("\n");
}

main().catch((error: unknown) => {
  console.error(`sentinel: ${messageOf(error)}`);
  process.exit(1);
});
