import { parentPort, workerData } from "node:worker_threads";
import { Relay } from "../src/ledger/relay.ts";
import { openFileSink } from "../src/ledger/sinks/file-sink.ts";
import { openKafkaSink } from "../src/ledger/sinks/kafka-sink.ts";
import { SendSize } from "../src/ledger/sinks/send-size.ts";
import { openSession } from "../src/postgres/connect.ts";
import { PublishedAudit } from "../src/proof/audit/published-audit.ts";
import { createLog } from "../src/telemetry/log.ts";
import type { PublisherReport, PublisherSettings } from "../src/threads/messages.ts";
import { textTask } from "../src/threads/text-task.ts";
import { sampleThread } from "../src/threads/thread-sampler.ts";

const settings: PublisherSettings = workerData;
const { kafkaBrokers, kafkaSecurity } = settings;
const log = createLog(settings.logLevel, "publisher");
/** Kept from one sink to the next, so that a size that was too large for the topic is not tried again at once. */
const sendSize = new SendSize(settings.batchLimitRows);

const relay = new Relay({
  // A cursor that a crash has set back only repeats events under the same identity.
  openSession: (onError) => openSession({ ...settings, name: "sentinel-publisher", durable: false }, onError),
  openSink: () =>
    kafkaBrokers ? openKafkaSink(kafkaBrokers, kafkaSecurity, sendSize) : openFileSink(settings.eventsFile),
  batchLimitRows: settings.batchLimitRows,
  log,
  audit: new PublishedAudit(log, undefined, undefined, kafkaBrokers ? "topic" : "file"),
});
sampleThread((sample) => parentPort?.postMessage(sample));

/**
 * The thread's task: publishes what is committed and waiting, or closes everything. It is never in a
 * transaction with seats.
 */
export default textTask(
  async (task: "round" | "close"): Promise<PublisherReport | undefined> =>
    task === "round" ? relay.round() : relay.close().then(() => undefined),
);
