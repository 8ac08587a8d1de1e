import { parseArgs } from "node:util";
import packageJson from "../package.json" with { type: "json" };
import { KEYS_USAGE, keysCommand } from "./access/command.ts";
import { describeConfig, readConfig } from "./config.ts";
import { type Engine, openEngine } from "./engine.ts";
import { Lifecycle } from "./lifecycle.ts";
import { createLog, type Logger, messageOf } from "./telemetry/log.ts";

const USAGE = `sentinel ${packageJson.version}: ${packageJson.description}

Usage: bun start [--help | --version | --config-table]
       ${KEYS_USAGE}

Everything is set by environment variables:
`;

const { version } = packageJson;

async function main(): Promise<void> {
  const [subject, ...args] = process.argv.slice(2);
  if (subject === "keys") return keysCommand(args, readConfig(process.env));

  const { values } = parseArgs({
    options: {
      help: { type: "boolean", short: "h" },
      version: { type: "boolean", short: "v" },
      "config-table": { type: "boolean" },
    },
  });
  if (values.help) return console.log(USAGE + describeConfig().map(configLine).join("\n"));
  if (values.version) return console.log(version);
  if (values["config-table"]) return console.log(configTable());

  const config = readConfig(process.env);
  const log = createLog(config.logLevel, "main");
  const lifecycle = new Lifecycle();
  let engine: Engine;
  try {
    engine = await openEngine(config, version, log, lifecycle);
  } catch (error) {
    await lifecycle.close(log);
    throw error;
  }
  endOnSignals(engine, config.shutdownTimeoutMs, log, lifecycle);
  announce(engine, log);
}

/** SIGTERM or SIGINT ends in order and within the bound; a second one ends at once. */
function endOnSignals(engine: Engine, timeoutMs: number, log: Logger, lifecycle: Lifecycle): void {
  let ending = false;
  const end = async (signal: NodeJS.Signals) => {
    if (ending) process.exit(130);
    ending = true;
    log.info({ signal }, "ending: what was accepted is finished first");
    setTimeout(() => {
      log.fatal({ timeoutMs }, "SHUTDOWN_TIMEOUT_MS is over: ending with something still open");
      process.exit(1);
    }, timeoutMs);
    await engine.drain();
    await lifecycle.close(log);
    log.info("ended");
    process.exit(0);
  };
  process.on("SIGTERM", end);
  process.on("SIGINT", end);
}

function announce({ url, parts }: Engine, log: Logger): void {
  const { postgres, redis, kafka } = parts.description;
  const addresses = {
    api: `${url}/api/v1/bookings/reserve/{seatId}`,
    docs: `${url}/docs`,
    metrics: `${url}/metrics`,
    health: `${url}/actuator/health`,
  };
  if (!process.stdout.isTTY) {
    log.info({ version, url, postgres, redis, kafka, ...addresses }, "ready");
    return;
  }
  console.log(`
  Sentinel ${version} is selling at ${url}

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
