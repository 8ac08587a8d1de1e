import { START } from "../config/command-line.ts";
import { readOptions } from "../config/command-options.ts";
import { type Config, ConfigError } from "../config/config.ts";
import { databaseFault, databaseUrlOf } from "../ledger/command-database.ts";
import { openSession, openSnapshot } from "../postgres/connect.ts";
import { LEDGER_START, type LedgerPosition } from "../postgres/ledger.ts";
import { readCursors } from "../postgres/published.ts";
import { orderAgain } from "../postgres/sink-orders.ts";
import { messageOf } from "../telemetry/log.ts";
import type { EventStore } from "./verify/event-store.ts";
import { findMissing, type Missing } from "./verify/events-proof.ts";

export const REPUBLISH_USAGE = `${START} republish [--apply] [--from-start]`;

const HELP = `Usage: ${REPUBLISH_USAGE}

Finds published ledger rows whose events are missing in the topic of KAFKA_BROKERS, or in the events file in DATA_DIR,
and orders the engine to publish again. Without --apply it changes nothing and only shows what it would do.

The engine that publishes carries out the order; if none runs, the next one that starts does. Every event keeps its
identity (ce_source and ce_id), and events are sent in the order of the ledger:
  topic   from the first missing event on; events that are there already come a second time
  file    from the very first event, into a new file; the old file stays beside it with the time in its name

  --apply        order it
  --from-start   publish everything again, even if nothing is missing

Exit code: 0 nothing is missing or it was ordered, 1 events are missing and --apply was not given, 2 it failed.`;

/** The time that `verify` also allows for one statement over everything. */
const STATEMENT_TIMEOUT_MS = 3_600_000;
const EXIT_CODES = { done: 0, missing: 1, failed: 2 } as const;

export interface RepublishOptions {
  args: string[];
  readConfig(): Config;
  openStore(config: Config): Promise<EventStore>;
}

/**
 * Runs the `republish` command. Never rejects.
 * @returns the exit code
 */
export async function republishCommand(options: RepublishOptions): Promise<number> {
  try {
    const command = readCommand(options.args);
    if (command === "help") {
      console.log(HELP);
      return EXIT_CODES.done;
    }
    return await republish(options, command);
  } catch (error) {
    console.error(`sentinel: republish: ${messageOf(error)}`);
    return EXIT_CODES.failed;
  }
}

function readCommand(args: string[]): "help" | { apply: boolean; fromStart: boolean } {
  try {
    const { values, positionals } = readOptions(args, {
      apply: { type: "boolean" },
      "from-start": { type: "boolean" },
    });
    const [word] = positionals;
    if (values.help || word === "help") return "help";
    if (word !== undefined) throw new ConfigError(`it takes no ${word}`);
    return { apply: values.apply ?? false, fromStart: values["from-start"] ?? false };
  } catch (error) {
    throw new ConfigError(`${messageOf(error)}\nUsage: ${REPUBLISH_USAGE}`);
  }
}

async function republish(
  { readConfig, openStore }: RepublishOptions,
  { apply, fromStart }: { apply: boolean; fromStart: boolean },
): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const config = readConfig();
  const databaseUrl = await databaseUrlOf(config, stack);
  const store = await openStore(config);
  stack.defer(() => store.close().catch(() => undefined));
  const { cursor, missing } = await look({ databaseUrl, config, store });
  const { count, first } = missing;
  console.log(`${count} published events are missing in ${store.sink}`);
  const after = fromStart || (first && store.sink.startsWith("file:")) ? LEDGER_START : first;
  if (!after) return EXIT_CODES.done;
  const where = after === LEDGER_START ? "from the first event of all" : "from the first missing event on";
  console.log(`Publishing again goes ${where}${store.sink.startsWith("file:") ? ", into a new file" : ""}.`);
  if (!apply) {
    console.log("Nothing was changed. Give --apply to do it.");
    return count > 0 ? EXIT_CODES.missing : EXIT_CODES.done;
  }
  if (!cursor) throw new ConfigError(`nothing was ever published to ${store.sink}`);
  const writer = await openSession(
    { databaseUrl, name: "sentinel-republish", ...limitsOf(config) },
    () => undefined,
  ).catch(databaseFault(databaseUrl));
  stack.defer(() => writer.$client.end().catch(() => undefined));
  await orderAgain(writer, store.sink, after);
  console.log("Ordered: the engine that publishes does it within seconds, or the next one that starts.");
  return EXIT_CODES.done;
}

const limitsOf = ({ connectTimeoutMs }: Config) => ({
  connectTimeoutMs,
  statementTimeoutMs: STATEMENT_TIMEOUT_MS,
});

/** Finds the missing events in one transaction that sees a single moment. The store was opened before it. */
async function look({
  databaseUrl,
  config,
  store,
}: {
  databaseUrl: string;
  config: Config;
  store: EventStore;
}): Promise<{ cursor: LedgerPosition | undefined; missing: Missing }> {
  const session = await openSnapshot(
    { databaseUrl, name: "sentinel-republish", ...limitsOf(config) },
    () => undefined,
  ).catch(databaseFault(databaseUrl));
  try {
    const cursor = (await readCursors(session)).get(store.sink);
    return { cursor, missing: await findMissing(session, store, cursor ?? LEDGER_START) };
  } finally {
    await session.$client.end().catch(() => undefined);
  }
}
