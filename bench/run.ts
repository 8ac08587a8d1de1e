import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Measurement, measureAccepted, measureRefused, warmUp } from "./measure.ts";
import { type BenchOptions, readOptions, type ServerName } from "./options.ts";
import { openParts, type Parts } from "./parts.ts";
import { type Counts, countsAgree, describeMachine, printReport } from "./report.ts";
import { openServer, type Sale, type Server } from "./servers.ts";

/**
 * The engine beside a straightforward baseline and the bare HTTP route, all on this machine in one run: the
 * same Postgres, Redis and Kafka, rounds interleaved, so that a noisy neighbour hits all of them alike.
 */
const RESULTS_DIR = join(import.meta.dir, "results");

/** Seats for the warm-up besides those for the measured rounds. */
const WARM_UP_SECONDS = 5;

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  const date = new Date();
  await using closes = new AsyncDisposableStack();
  const parts = await openParts(closes);
  const loadSeconds = options.rounds * options.connections.length * options.seconds + WARM_UP_SECONDS;
  const servers: Server[] = [];
  for (const name of options.servers) {
    say(`starting ${name}`);
    const server = await openServer(closes, name, parts, loadSeconds);
    await warmUp(server);
    servers.push(server);
  }

  const measurements = await measureAll(servers, parts, options);
  const counts: Counts[] = [];
  for (const { name, sale } of servers) {
    if (sale) counts.push(await countSales(name, sale, measurements));
  }
  const machine = describeMachine(parts, options, date);
  console.log(printReport(machine, measurements, counts));
  await mkdir(RESULTS_DIR, { recursive: true });
  const path = join(RESULTS_DIR, `${date.toISOString().replaceAll(/[:.]/g, "-")}.json`);
  await writeFile(path, JSON.stringify({ machine, options, measurements, counts }, null, 2));
  say(`written to ${path}`);
  if (!counts.every(countsAgree)) process.exitCode = 1;
}

async function measureAll(servers: Server[], parts: Parts, options: BenchOptions): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  const keep = (measurement: Measurement) => {
    const { round, connections, server, scenario, perSecond } = measurement;
    measurements.push(measurement);
    say(`round ${round}, ${connections} connections: ${server} ${scenario} ${Math.round(perSecond)}/s`);
  };
  for (let round = 1; round <= options.rounds; round++) {
    for (const connections of options.connections) {
      const load = { round, connections, seconds: options.seconds };
      for (const server of servers) {
        if (options.scenarios.includes("accepted") && server.sale) {
          keep(await measureAccepted(server, server.sale, parts, load));
        }
        if (options.scenarios.includes("rejected") || !server.sale) {
          keep(await measureRefused(server, parts, load));
        }
      }
    }
  }
  return measurements;
}

async function countSales(server: ServerName, sale: Sale, measurements: Measurement[]): Promise<Counts> {
  const own = measurements.filter((each) => each.server === server && each.scenario === "accepted");
  const sum = (figure: (each: Measurement) => number) => own.reduce((total, each) => total + figure(each), 0);
  const published = await sale.published?.();
  return {
    server,
    accepted: sum(({ answers, others }) => answers - others),
    uncountedLimit: sum(({ connections }) => connections),
    ledgerRows: (await sale.database.ledgerRows()) - sale.soldAtWarmUp,
    published: published === undefined ? undefined : published - sale.soldAtWarmUp,
  };
}

/** Progress goes beside the report, so that the report alone can be piped on. */
const say = (text: string) => console.error(text);

await main();
process.exit();
