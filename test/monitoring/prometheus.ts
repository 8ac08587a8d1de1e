import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { startChild } from "../fixtures/child.ts";
import { freePort } from "../fixtures/free-port.ts";
import { present } from "../fixtures/parts.ts";
import { tempDir } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";
import { MONITORING } from "./queries.ts";
import { findPrometheus } from "./tools.ts";

const STOP_TIMEOUT_MS = 10_000;
const ANSWER_TIMEOUT_MS = 5_000;

/** One sample of an instant query; `value` may be NaN. */
interface Sample {
  labels: Record<string, string>;
  value: number;
}

export interface Prometheus {
  url: string;
  /** @throws with Prometheus's own words when it does not accept the query. */
  query(expr: string): Promise<Sample[]>;
  get<T>(path: string, schema: z.ZodType<T>): Promise<T>;
  stop(): Promise<void>;
}

const configuration = z.looseObject({
  global: z.looseObject({}),
  rule_files: z.array(z.string()),
  scrape_configs: z.array(z.looseObject({ job_name: z.string() })),
});

const vector = z.object({
  resultType: z.literal("vector"),
  result: z.array(
    z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) }),
  ),
});

/**
 * A Prometheus with monitoring's own configuration and rules; only the job `sentinel`, with `target`
 * (host:port) as its one target, every second, and its data in a folder that goes with it.
 */
export async function startPrometheus(target: string): Promise<Prometheus> {
  const { prometheus } = present(findPrometheus());
  const folder = `${MONITORING}/prometheus`;
  const own = configuration.parse(Bun.YAML.parse(await Bun.file(`${folder}/prometheus.yml`).text()));
  const job = own.scrape_configs.find(({ job_name }) => job_name === "sentinel");
  const derived = {
    ...own,
    global: { ...own.global, scrape_interval: "1s", scrape_timeout: "1s", evaluation_interval: "1s" },
    rule_files: own.rule_files.map((pattern) => join(folder, pattern)),
    scrape_configs: [{ ...job, static_configs: [{ targets: [target] }] }],
  };

  const dir = await tempDir("prometheus");
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  await mkdir(join(dir.path, "data"));
  // JSON is YAML.
  await Bun.write(join(dir.path, "prometheus.yml"), JSON.stringify(derived));
  const child = startChild("Prometheus", [
    ...[prometheus, `--config.file=${join(dir.path, "prometheus.yml")}`],
    ...[`--storage.tsdb.path=${join(dir.path, "data")}`, `--web.listen-address=127.0.0.1:${port}`],
  ]);
  const stop = async () => {
    await child.end("SIGTERM", STOP_TIMEOUT_MS);
    await dir.remove();
  };
  try {
    await until(`Prometheus is ready at ${url}`, () => child.exitCode() !== undefined || isReady(url));
    if (child.exitCode() !== undefined) throw new Error("it ended at its start");
  } catch (error) {
    await stop();
    throw new Error(`Prometheus did not start: ${error}\n${child.output()}`, { cause: error });
  }

  const get = async <T>(path: string, schema: z.ZodType<T>): Promise<T> => {
    const answer = await fetch(`${url}/api/v1/${path}`, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
    const body = z.object({ data: z.unknown(), error: z.string().optional() }).parse(await answer.json());
    if (body.error) throw new Error(`${path}: ${body.error}`);
    return schema.parse(body.data);
  };
  const query = async (expr: string) => {
    const { result } = await get(`query?${new URLSearchParams({ query: expr })}`, vector);
    return result.map(({ metric, value: [, value] }) => ({ labels: metric, value: Number(value) }));
  };
  return { url, query, get, stop };
}

async function isReady(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/-/ready`);
  await answer.body?.cancel();
  return answer.status === 200;
}
