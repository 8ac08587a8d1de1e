import "./preflight.ts";
import packageJson from "../package.json" with { type: "json" };
import { KEYS_USAGE, keysCommand } from "./access/command.ts";
import { misspelt, readCommand, START } from "./command-line.ts";
import { describeConfig, readConfig } from "./config.ts";
import { kafkaSecurityOf } from "./credentials/relations.ts";
import { type Engine, openEngine } from "./engine.ts";
import { openTopicReader } from "./kafka/topic-reader.ts";
import { VERIFY_USAGE, verifyCommand } from "./ledger/verify/command.ts";
import { Lifecycle } from "./lifecycle.ts";
import { ENGINE_PROCESS } from "./processes/messages.ts";
import { joinPrimary } from "./processes/one-of-several.ts";
import { openProcesses } from "./processes/primary.ts";
import { createLog, type Logger, messageOf } from "./telemetry/log.ts";

const USAGE = `sentinel ${packageJson.version}: ${packageJson.description}

Usage: ${START} [help | --version | --config-table]
       ${KEYS_USAGE}
       ${VERIFY_USAGE}

Everything is set by environment variables:
`;

const { version } = packageJson;

async function main(): Promise<void> {
  const command = readCommand(process.argv.slice(2), ENGINE_PROCESS);
  switch (command.kind) {
    case "keys":
      tellMisspelt();
      return keysCommand(command.args, () => readConfig(process.env));
    case "verify":
      tellMisspelt();
      return verifyAndExit(command.args);
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
      command satisfies never;
  }
}

function tellMisspelt(): void {
  for (const line of misspelt(process.env)) console.error(`sentinel: ${line}`);
}

async function start(): Promise<void> {
  const config = readConfig(process.env);
  const log = createLog(config.logLevel, "main");
  const lifecycle = new Lifecycle();
  try {
    const { webConcurrency, shutdownTimeoutMs } = config;
    const engine =
      webConcurrency === 1
        ? await openEngine(config, version, log, lifecycle)
        : await openProcesses(config, log, lifecycle);
    endOnSignals(engine, shutdownTimeoutMs, log, lifecycle);
    // The first of several processes answers requests before all are ready: a signal is heeded by now.
    if ("ready" in engine) await engine.ready;
    announce(engine, webConcurrency, log);
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

/** An engine process of several (WEB_CONCURRENCY): it says to its primary what one alone says to people. */
async function beOneOfSeveral(): Promise<void> {
  const { number, ports, parts, figuresOfAll, tell } = await joinPrimary();
  try {
    const config = { ...readConfig(process.env), ...ports };
    const log = createLog(config.logLevel, "main").child({ process: number });
    const lifecycle = new Lifecycle();
    const engine = await openEngine(config, version, log, lifecycle, { parts, figuresOfAll });
    endOnSignals(engine, config.shutdownTimeoutMs, log, lifecycle, { isOneOfSeveral: true });
    tell({ kind: "ready" });
  } catch (error) {
    tell({ kind: "failed", message: messageOf(error) });
    process.exit(1);
  }
}

/** SIGTERM or SIGINT ends in order and within the bound; a second one ends at once. */
function endOnSignals(
  engine: Engine,
  timeoutMs: number,
  log: Logger,
  lifecycle: Lifecycle,
  { isOneOfSeveral = false } = {},
): void {
  let ending = false;
  const end = async (signal: NodeJS.Signals) => {
    // A terminal or systemd signals every process, and the primary does once more: both mean one ending.
    if (ending && isOneOfSeveral) return;
    if (ending) process.exit(130);
    ending = true;
    log.info({ signal }, "ending: what was accepted is finished first");
    setTimeout(() => {
      log.fatal({ timeoutMs }, "SHUTDOWN_TIMEOUT_MS is over: ending with something still open");
      process.exit(1);
    }, timeoutMs);
    const fault = await engine.drain().catch(messageOf);
    await lifecycle.close(log);
    if (fault === undefined) log.info("ended");
    else log.fatal({ fault }, "ended, with something left undone");
    process.exit(fault === undefined ? 0 : 1);
  };
  process.on("SIGTERM", end);
  process.on("SIGINT", end);
}

function announce({ url, managementUrl, parts }: Engine, processCount: number, log: Logger): void {
  const { postgres, redis, kafka } = parts.description;
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

function configLine({ variable, fallback, meaning }: ReturnType<typeof describeConfig>[number]): string {
  return `  ${variable.padEnd(27)} ${meaning} [${fallback}]`;
}

/** The README's configuration table. */
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
