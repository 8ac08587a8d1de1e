import { parseArgs } from "node:util";
import { drizzle } from "drizzle-orm/node-postgres";
import { START } from "../command-line.ts";
import { type Config, ConfigError } from "../config.ts";
import { openSession } from "../postgres/connect.ts";
import { orderPartitions, readOrders, type SinkOrders } from "../postgres/sink-orders.ts";
import { messageOf } from "../telemetry/log.ts";
import { databaseUrlOf } from "./command-database.ts";

export const TOPIC_USAGE = `${START} topic [confirm-partitions [--now]]`;

const HELP = `Usage: ${TOPIC_USAGE}

Shows how many partitions the topic has, over how many its events are spread, and which consumer groups have not read
everything.

A seat's events keep their order while its key stays in one partition. So when the number of partitions changes, the
engine goes on with the former number until an operator confirms the new one:

  confirm-partitions   The engine pauses publishing, waits until every consumer group has read everything, then
                       spreads events over the topic's present partitions. Selling goes on meanwhile.
  --now                Skips the wait, for a topic that was created again or a consumer group that is not used any more.

Exit code: 0 the numbers are equal or it was ordered, 1 the numbers differ, 2 it failed.`;

const STATEMENT_TIMEOUT_MS = 5000;
const EXIT_CODES = { done: 0, differs: 1, failed: 2 } as const;

/** The topic as the brokers describe it. */
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

/** Runs the `topic` command. @returns the exit code; never rejects. */
export async function topicCommand(options: TopicOptions): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      args: options.args,
      allowPositionals: true,
      options: { now: { type: "boolean" }, help: { type: "boolean", short: "h" } },
    });
    const [action, ...rest] = positionals;
    if (values.help) {
      console.log(HELP);
      return EXIT_CODES.done;
    }
    const confirms = action === "confirm-partitions";
    if ((action !== undefined && !confirms) || rest.length > 0 || (values.now && !confirms))
      throw new ConfigError(`cannot be understood\nUsage: ${TOPIC_USAGE}`);
    return await look(options, { confirms, now: values.now ?? false });
  } catch (error) {
    console.error(`sentinel: topic: ${messageOf(error)}`);
    return EXIT_CODES.failed;
  }
}

async function look(
  { readConfig, describeTopic }: TopicOptions,
  { confirms, now }: { confirms: boolean; now: boolean },
): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const config = readConfig();
  const { kafkaBrokers, connectTimeoutMs } = config;
  if (!kafkaBrokers) throw new ConfigError("KAFKA_BROKERS: not set, so there is no topic");
  const databaseUrl = await databaseUrlOf(config, stack);
  const client = await openSession(
    { databaseUrl, name: "sentinel-topic", connectTimeoutMs, statementTimeoutMs: STATEMENT_TIMEOUT_MS },
    () => undefined,
  );
  stack.defer(() => client.end().catch(() => undefined));
  const session = drizzle(client);
  const topic = await describeTopic({ ...config, kafkaBrokers });
  const orders = await readOrders(session, topic.sink);
  const used = orders?.partitionCount ?? topic.partitionCount;
  console.log(descriptionOf(topic, used, orders));
  if (used === topic.partitionCount) return EXIT_CODES.done;
  if (!confirms) return EXIT_CODES.differs;
  if (topic.partitionCount === 0) throw new ConfigError("the topic is missing");
  await orderPartitions(session, topic.sink, { count: topic.partitionCount, waitsForConsumers: !now });
  console.log("Ordered: the engine that publishes does it within seconds, or the next one that starts.");
  return EXIT_CODES.done;
}

function descriptionOf(topic: TopicDescription, used: number, orders: SinkOrders | undefined): string {
  const { sink, partitionCount, laggards } = topic;
  const wanted = orders?.wantedPartitionCount;
  return [
    `${sink} has ${partitionCount} partitions; events are spread over ${used}`,
    laggards.length > 0
      ? `Consumer groups that have not read everything: ${laggards.join(", ")}`
      : "Every consumer group has read everything",
    ...(wanted == null ? [] : [`Confirmed and not yet in use: ${wanted}`]),
  ].join("\n");
}
