import { beforeAll, describe, expect, test } from "bun:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { ask, bearer, makeKey } from "../access/keyed.ts";
import { freePort } from "../fixtures/free-port.ts";
import { findLinux, partOrSkip } from "../fixtures/parts.ts";
import { untilWithin } from "../fixtures/until.ts";
import { useEngine } from "../fixtures/use-engine.ts";
import { runEngine } from "./command.ts";
import { logLines } from "./engines.ts";
import { scrape } from "./processes.ts";

const linux = await partOrSkip("linux", findLinux);

const PROBES = ["/health/live", "/health/ready", "/health/startup"];
const MANAGING = ["/metrics", "/actuator/prometheus", "/actuator/health", "/api/v1/admin/api-keys"];
const SELLING = ["/api/v1/events", "/api/v1/events/1/map", "/api/v1/seats/1"];

const sale = useEngine({
  env: async () => {
    const port = await freePort();
    managementUrl = `http://127.0.0.1:${port}`;
    return { MANAGEMENT_PORT: String(port) };
  },
});
let managementUrl: string;
let key: string;
beforeAll(async () => {
  key = await makeKey(sale.env, "admin");
});

const statusesOf = (url: string, paths: string[]) =>
  Promise.all(
    paths.map(async (path) => `${path} ${(await ask(url, "GET", path, { headers: bearer(key) })).status}`),
  );
const all = (paths: string[], status: number) => paths.map((path) => `${path} ${status}`);

interface Document {
  paths: Record<string, object>;
  tags: { name: string }[];
}
const documentOf = async (url: string) => (await (await fetch(`${url}/openapi.json`)).json()) as Document;

describe("an engine with a MANAGEMENT_PORT", () => {
  test("has metrics, health details and administration there, and nothing of them on the public port", async () => {
    expect(await statusesOf(managementUrl, MANAGING)).toEqual(all(MANAGING, 200));
    expect(await statusesOf(sale.url, MANAGING)).toEqual(all(MANAGING, 404));
    const create = {
      body: JSON.stringify({ name: "a", role: "reader" }),
      headers: { "content-type": "application/json", ...bearer(key) },
    };
    expect((await ask(sale.url, "POST", "/api/v1/admin/api-keys", create)).status).toBe(404);
    expect((await ask(sale.url, "POST", "/api/v1/admin/events/1/close", create)).status).toBe(404);
    expect((await ask(managementUrl, "POST", "/api/v1/admin/api-keys", create)).status).toBe(201);
  });

  test("sells on the public port, and not there", async () => {
    expect(await statusesOf(sale.url, SELLING)).toEqual(all(SELLING, 200));
    expect(await statusesOf(managementUrl, SELLING)).toEqual(all(SELLING, 404));
    const reserve = "/api/v1/bookings/reserve/7";
    expect((await ask(managementUrl, "POST", reserve)).status).toBe(404);
    expect((await ask(sale.url, "POST", reserve)).status).toBe(201);
  });

  test("answers probes on both", async () => {
    expect(await statusesOf(sale.url, PROBES)).toEqual(all(PROBES, 200));
    expect(await statusesOf(managementUrl, PROBES)).toEqual(all(PROBES, 200));
  });

  test("asks there for an administrator's key as it does elsewhere, and counts who comes with a wrong one", async () => {
    expect((await ask(managementUrl, "GET", "/api/v1/admin/api-keys")).status).toBe(401);
    const wrong = await ask(managementUrl, "GET", "/api/v1/admin/api-keys", { headers: bearer("wrong") });
    expect([wrong.status, wrong.headers.get("ratelimit")]).toEqual([401, expect.stringContaining("address")]);
  });

  test("describes on each port what that port has", async () => {
    const [selling, managing] = [await documentOf(sale.url), await documentOf(managementUrl)];
    for (const document of [selling, managing])
      expect((await new Validator().validate({ ...document })).errors ?? []).toEqual([]);
    const pathsOf = ({ paths }: Document) => Object.keys(paths);
    const isManaging = (path: string) => /^\/(metrics|actuator|api\/v1\/admin)/.test(path);
    expect(pathsOf(selling).filter(isManaging)).toEqual([]);
    expect(pathsOf(managing).filter((path) => !isManaging(path))).toEqual(["/", ...PROBES.toSorted()]);
    expect(managing.tags.map(({ name }) => name)).toEqual(["Administration", "API keys", "Operations"]);
    expect((await ask(sale.url, "GET", "/")).json).not.toContainKey("metrics");
    expect((await ask(managementUrl, "GET", "/")).json).toContainKey("metrics");
  });

  test("says when it is ready where its metrics are", () => {
    const ready = logLines(sale.engine).find(({ msg }) => msg === "ready");
    expect(ready).toMatchObject({ url: sale.url, metrics: `${managementUrl}/metrics` });
  });
});

describe("a MANAGEMENT_PORT", () => {
  test("is refused where it is taken, or is PORT itself, by its own name", async () => {
    const port = new URL(sale.url).port;
    const same = await runEngine({ ...sale.env, PORT: port, MANAGEMENT_PORT: port });
    expect([same.exitCode, same.stderr]).toEqual([
      1,
      `sentinel: MANAGEMENT_PORT: must differ from PORT, ${port}\n`,
    ]);
    const nowhere = await runEngine({
      ...sale.env,
      PORT: "0",
      MANAGEMENT_PORT: "",
      MANAGEMENT_HOST: "127.0.0.1",
    });
    expect([nowhere.exitCode, nowhere.stderr]).toEqual([
      1,
      "sentinel: MANAGEMENT_HOST: needs MANAGEMENT_PORT too; without it everything is on PORT\n",
    ]);
    const taken = await runEngine({ ...sale.env, PORT: "0", MANAGEMENT_PORT: port, HOST: "127.0.0.1" });
    expect([taken.exitCode, taken.stderr]).toEqual([
      1,
      expect.stringContaining(`MANAGEMENT_PORT: ${port} is taken`),
    ]);
  });

  test.skipIf(!linux)("is shared by several processes, chosen for all where it is 0", async () => {
    const own = await sale.open({ MANAGEMENT_PORT: "0", WEB_CONCURRENCY: "2" });
    // It answers before it says so.
    const ready = await untilWithin(
      5000,
      "it says where its metrics are",
      () => logLines(own).find(({ msg }) => msg === "ready") as { metrics?: string } | undefined,
    );
    const url = new URL(ready.metrics ?? "").origin;
    expect(url).not.toBe(own.url);
    for (let ask = 0; ask < 8; ask++) {
      expect((await scrape(url)).value("sentinel_processes_answering")).toBe(2);
      expect((await fetch(`${own.url}/metrics`, { keepalive: false })).status).toBe(404);
    }
  });
});
