import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { START } from "../config/command-line.ts";
import { readOptions, unknownWord } from "../config/command-options.ts";
import { type Config, ConfigError } from "../config/config.ts";
import { openSession } from "../postgres/connect.ts";
import { orderPartitions, readOrders, type SinkOrders, withdrawPartitions } from "../postgres/sink-orders.ts";
import { never } from "../runtime/assert.ts";
import { messageOf } from "../telemetry/log.ts";
import { brokersFault, databaseFault, databaseUrlOf } from "./command-database.ts";

export const TOPIC_USAGE = `${START} topic [confirm-partitions [--now] | withdraw]`;

const HELP = `Usage: ${TOPIC_USAGE}

Shows the topic's number of partitions, the number that its events are spread over, and the consumer groups that have
not read everything.

The events of a seat keep their order only while its key stays in one partition. When the number of partitions changes,
the engine therefore keeps using the old number until an operator confirms the new one:

  confirm-partitions   Pauses publishing until every consumer group has read everything, then spreads events over all
                       current partitions of the topic. Selling continues meanwhile.
  --now                Skips the wait: for a topic that was created again, or a consumer group that is no longer used.
                       An order that is already waiting is carried out immediately.
  withdraw             Withdraws an order that has not been carried out yet; the old number stays in use.

Exit code: 0 if the numbers are equal, or the order was given or withdrawn; 1 if the numbers differ or there was nothing
to withdraw; 2 if the command failed.`;

const STATEMENT_TIMEOUT_MS = 5000;
const EXIT_CODES = { done: 0, differs: 1, nothing: 1, failed: 2 } as const;

const ACTIONS = ["confirm-partitions", "withdraw", "help"] as const;
type Command =
  | { kind: "help" }
  | { kind: "show" }
  | { kind: "withdraw" }
  | { kind: "confirm"; waitsForConsumers: boolean };

/** The topic as described by the brokers. */
export interface TopicDescription {
  /** The sink's name. */
  sink: string;
  /** 0 if the topic is missing. */
  partitionCount: number;
  laggards: string[];
}

export interface TopicOptions {
  args: string[];
  readConfig(): Config;
  describeTopic(config: Config & { kafkaBrokers: string[] }): Promise<TopicDescription>;
}

/**
 * Runs the `topic` command. Never rejects.
 * @returns the exit code
 */
export async function topicCommand(options: TopicOptions): Promise<number> {
  try {
    const command = readCommand(options.args);
    if (command.kind === "help") {
      console.log(HELP);
      return EXIT_CODES.done;
    }
    return await run(options, command);
  } catch (error) {
    console.error(`sentinel: topic: ${messageOf(error)}`);
    return EXIT_CODES.failed;
  }
}

function readCommand(args: string[]): Command {
  try {
    const { values, positionals } = readOptions(args, { now: { type: "boolean" } });
    const [action, surplus] = positionals;
    if (values.help || action === "help") return { kind: "help" };
    if (surplus !== undefined) throw new ConfigError(`${action} takes no ${surplus}`);
    if (action === "confirm-partitions") return { kind: "confirm", waitsForConsumers: !values.now };
    if (values.now) throw new ConfigError("--now: only confirm-partitions takes it");
    if (action === undefined) return { kind: "show" };
    if (action === "withdraw") return { kind: "withdraw" };
    throw new ConfigError(unknownWord("command", action, ACTIONS));
  } catch (error) {
    throw new ConfigError(`${messageOf(error)}\nUsage: ${TOPIC_USAGE}`);
  }
}

async function run(
  { readConfig, describeTopic }: TopicOptions,
  command: Exclude<Command, { kind: "help" }>,
): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const config = readConfig();
  const { kafkaBrokers, connectTimeoutMs } = config;
  if (!kafkaBrokers) throw new ConfigError("KAFKA_BROKERS: not set, so there is no topic");
  const databaseUrl = await databaseUrlOf(config, stack);
  const session = await openSession(
    { databaseUrl, name: "sentinel-topic", connectTimeoutMs, statementTimeoutMs: STATEMENT_TIMEOUT_MS },
    () => undefined,
  ).catch(databaseFault(databaseUrl));
  stack.defer(() => session.$client.end().catch(() => undefined));
  const topic = await describeTopic({ ...config, kafkaBrokers }).catch(brokersFault(kafkaBrokers));
  const orders = await readOrders(session, topic.sink);
  const used = orders?.partitionCount ?? topic.partitionCount;
  console.log(descriptionOf(topic, used, orders));
  // `return await`, because the session closes at the end of this block.
  switch (command.kind) {
    case "show":
      if (used === topic.partitionCount) return EXIT_CODES.done;
      if (orders?.wantedPartitionCount !== topic.partitionCount) console.log(adviceOf(topic, used));
      return EXIT_CODES.differs;
    case "withdraw":
      return await withdraw(session, topic.sink, used);
    case "confirm":
      if (used === topic.partitionCount) return EXIT_CODES.done;
      return await confirm(session, topic, command);
    default:
      return never(command, "command for the topic");
  }
}

async function confirm(
  session: NodePgDatabase,
  { sink, partitionCount }: TopicDescription,
  { waitsForConsumers }: { waitsForConsumers: boolean },
): Promise<number> {
  if (partitionCount === 0)
    throw new ConfigError("the topic is missing: create it, or start an engine, which creates it");
  await orderPartitions(session, sink, { count: partitionCount, waitsForConsumers });
  console.log(
    waitsForConsumers
      ? `Ordered: the publishing engine (or the next one to start) pauses until every consumer group has read everything, then uses ${partitionCount} partitions. To undo this before then, run ${START} topic withdraw`
      : `Ordered: the publishing engine (or the next one to start) uses ${partitionCount} partitions within seconds.`,
  );
  return EXIT_CODES.done;
}

async function withdraw(session: NodePgDatabase, sink: string, used: number): Promise<number> {
  if (await withdrawPartitions(session, sink)) {
    console.log(`Withdrawn: events stay spread over ${used} partitions.`);
    return EXIT_CODES.done;
  }
  console.log("There is nothing to withdraw: no number was confirmed, or it is already in use.");
  return EXIT_CODES.nothing;
}

/** Returns what the operator should type next if the numbers differ. */
function adviceOf({ partitionCount }: TopicDescription, used: number): string {
  if (partitionCount === 0) return "The topic is missing: the publishing engine creates it.";
  return partitionCount > used
    ? `To use all ${partitionCount}, run ${START} topic confirm-partitions`
    : `Publishing is paused, because keys belong to partitions that are missing. Give the topic ${used} partitions again or, if it was deleted and created again, run ${START} topic confirm-partitions --now`;
}

function descriptionOf(topic: TopicDescription, used: number, orders: SinkOrders | undefined): string {
  const { sink, partitionCount, laggards } = topic;
  const wanted = orders?.wantedPartitionCount;
  return [
    `${sink} has ${partitionCount} partitions; events are spread over ${used}`,
    laggards.length > 0
      ? `Consumer groups that have not read everything: ${laggards.join(", ")}`
      : "Every consumer group has read everything",
    ...(wanted == null
      ? []
      : [`Confirmed but not yet in use: ${wanted} (to withdraw: ${START} topic withdraw)`]),
  ].join("\n");
}
