import { join } from "node:path";
import { RUN } from "../../config/command-line.ts";
import { readOptions } from "../../config/command-options.ts";
import { type Config, ConfigError } from "../../config/config.ts";
import { brokersFault, databaseFault, databaseUrlOf } from "../../ledger/command-database.ts";
import { openSnapshot } from "../../postgres/connect.ts";
import { codeOf, SQLSTATE } from "../../postgres/faults.ts";
import { messageOf } from "../../telemetry/log.ts";
import { rulesText } from "../rules/rules.ts";
import type { Anchor } from "./chain-proof.ts";
import type { EventStore } from "./event-store.ts";
import { openEventsFile } from "./events-file.ts";
import type { Verdict } from "./findings.ts";
import { type Verification, verify } from "./proof.ts";
import { summaryOf } from "./summary.ts";

export const VERIFY_USAGE = `${RUN} run verify [--anchor <rows>:<digest>]... [--json]`;

const HELP = `Usage: ${VERIFY_USAGE}

Reads the database (DATABASE_URL, or that in DATA_DIR) and the events (the topic of
KAFKA_BROKERS, or the events file in DATA_DIR) and proves that they agree with the ledger and the ledger with itself.
It writes nothing and may run beside engines that sell.

  --anchor   a head of the chain that an earlier run has printed: the chain must still contain it
  --json     one JSON object on standard output instead of the summary

Exit code: 0 proven, 1 damage found, 2 not all could be checked.

What each finding means, by the line of the summary that it belongs to, with what is always true of a sound database. The
auditor of a running engine reports some of them too, and one that verify proves by the others.

${rulesText()}`;

const EXIT_CODES = { proven: 0, damaged: 1, unproven: 2 } as const satisfies Record<Verdict, number>;

/** Limit for one statement over everything; the longest took 4.4 s for 1,000,000 rows. */
const STATEMENT_TIMEOUT_MS = 3_600_000;

const ANCHOR = /^([1-9]\d{0,15}):([A-Za-z0-9+/]{43}=)$/;

export interface VerifyOptions {
  args: string[];
  readConfig(): Config;
  openTopic(config: Config & { kafkaBrokers: string[] }): Promise<EventStore>;
}

/**
 * Runs `bun run verify`. Never rejects.
 * @returns the exit code
 */
export async function verifyCommand({ args, readConfig, openTopic }: VerifyOptions): Promise<number> {
  const isJson = args.includes("--json");
  try {
    const options = readArguments(args);
    if (options === "help") {
      console.log(HELP);
      return 0;
    }
    const startedAt = performance.now();
    const verification = await verifyAll(readConfig(), options.anchors, openTopic);
    const seconds = (performance.now() - startedAt) / 1000;
    console.log(isJson ? jsonOf(verification, seconds) : summaryOf(verification, seconds));
    return EXIT_CODES[verification.verdict];
  } catch (error) {
    const fault = faultOf(error);
    if (isJson) console.log(JSON.stringify({ verdict: "unproven", fault }));
    console.error(`sentinel: ${fault}`);
    return EXIT_CODES.unproven;
  }
}

function readArguments(args: string[]): "help" | { anchors: Anchor[] } {
  const unusable = (fault: string) => new ConfigError(`verify: ${fault}\nUsage: ${VERIFY_USAGE}`);
  let values: { help?: boolean; anchor?: string[] };
  let positionals: string[];
  try {
    ({ values, positionals } = readOptions(args, {
      json: { type: "boolean" },
      anchor: { type: "string", multiple: true },
    }));
  } catch (error) {
    throw unusable(messageOf(error));
  }
  if (values.help || positionals[0] === "help") return "help";
  if (positionals[0] !== undefined) throw unusable(`it takes no ${positionals[0]}`);
  const anchors = (values.anchor ?? []).map((text) => {
    const [, rowsTotal, digest] = ANCHOR.exec(text) ?? [];
    if (rowsTotal === undefined || digest === undefined)
      throw unusable("--anchor must be what an earlier run has printed, such as 1000:k3Y...=");
    return { rowsTotal: Number(rowsTotal), digest };
  });
  return { anchors };
}

/** Opens the store before the snapshot: everything in it by then must be in the ledger. */
async function verifyAll(
  config: Config,
  anchors: Anchor[],
  openTopic: VerifyOptions["openTopic"],
): Promise<Verification> {
  await using stack = new AsyncDisposableStack();
  const databaseUrl = await databaseUrlOf(config, stack);
  const { connectTimeoutMs } = config;
  const store = await openEventStore(config, openTopic);
  stack.defer(() => store.close().catch(() => undefined));
  const name = "sentinel-verify";
  const options = { databaseUrl, name, connectTimeoutMs, statementTimeoutMs: STATEMENT_TIMEOUT_MS };
  const session = await openSnapshot(options, () => undefined).catch(databaseFault(databaseUrl));
  stack.defer(() => session.$client.end().catch(() => undefined));
  const otherSession = await openSnapshot(options, () => undefined, session);
  stack.defer(() => otherSession.$client.end().catch(() => undefined));
  // `return await`, because its sources close at the end of this block.
  return await verify({ session, otherSession, anchors, store });
}

/** Opens the store that the engine publishes to. */
export function openEventStore(config: Config, openTopic: VerifyOptions["openTopic"]): Promise<EventStore> {
  const { kafkaBrokers } = config;
  return kafkaBrokers
    ? openTopic({ ...config, kafkaBrokers }).catch(brokersFault(kafkaBrokers))
    : openEventsFile(join(config.dataDir, "booking-events.jsonl"));
}

function jsonOf({ verdict, proofs, head }: Verification, seconds: number): string {
  const anchor = head && `${head.rowsTotal}:${head.digest}`;
  return JSON.stringify({ verdict, seconds: Math.round(seconds * 10) / 10, anchor, proofs });
}

function faultOf(error: unknown): string {
  return codeOf(error) === SQLSTATE.undefinedTable
    ? `the database is not one of this version (${messageOf(error)}): start an engine on it once`
    : messageOf(error);
}
