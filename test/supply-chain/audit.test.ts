import { describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import exceptions from "../../supply-chain/exceptions.json" with { type: "json" };
import { exceptionSchema, faultsOf, overdue } from "../../supply-chain/exceptions.ts";
import { tempDir } from "../fixtures/temp-dir.ts";

const ROOT = resolve(import.meta.dir, "../..");
const ID = "GHSA-abcd-1234-efgh";
const ADVISORIES = {
  pg: [
    {
      ...{ id: 1, url: `https://github.com/advisories/${ID}`, title: "it tells all", severity: "low" },
      ...{ vulnerable_versions: "<99.0.0", cwe: [], cvss: { score: 0, vectorString: null } },
    },
  ],
};
const REASON = "only its native bindings, which are not installed";
const exception = { id: ID, reason: REASON, until: "2030-01-31" };

describe("an advisory", () => {
  test("is a fault, however light, unless there is an exception for it", () => {
    expect(faultsOf(ADVISORIES, [])).toEqual([`${ID}: pg <99.0.0 (low): it tells all`]);
    expect(faultsOf(ADVISORIES, [exception])).toEqual([]);
    expect(overdue([exception], "2030-01-31")).toEqual([]);
  });

  test("is a fault again when its exception is over", () => {
    expect(overdue([exception], "2030-02-01")).toEqual([
      `${ID}: its exception was until 2030-01-31: decide again`,
    ]);
  });

  test("that is no more leaves an exception, which is a fault", () => {
    expect(faultsOf({}, [exception])).toEqual([
      `${ID}: nothing that is installed is met by it any more: take its exception out`,
    ]);
  });
});

test("an exception has an advisory's id, a reason and a date", () => {
  expect(exceptionSchema.safeParse(exceptions).success).toBe(true);
  for (const wrong of [{ id: "all" }, { reason: "no" }, { until: "never" }, { until: undefined }]) {
    expect(exceptionSchema.safeParse([{ ...exception, ...wrong }]).success).toBe(false);
  }
});

describe("the audit", () => {
  /** Asks a registry that answers like this what is known, with these exceptions. */
  async function audit(answer: () => Response, excepted: object[] = []) {
    await using stack = new AsyncDisposableStack();
    const dir = await tempDir("audit");
    stack.defer(dir.remove);
    const file = `${dir.path}/exceptions.json`;
    await Bun.write(file, JSON.stringify(excepted));
    let asked = 0;
    const registry = Bun.serve({
      ...{ port: 0, hostname: "127.0.0.1" },
      fetch: (request) => {
        if (new URL(request.url).pathname.endsWith("/advisories/bulk")) asked++;
        return answer();
      },
    });
    stack.defer(() => registry.stop(true));
    const child = Bun.spawn([process.execPath, "supply-chain/audit.ts", file], {
      ...{ cwd: ROOT, stdout: "pipe", stderr: "pipe" },
      env: { PATH: process.env["PATH"] ?? "", BUN_CONFIG_REGISTRY: registry.url.href },
    });
    const [stdout, stderr] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    return { exitCode: await child.exited, said: stdout + stderr, asked };
  }

  test("passes where the registry knows nothing", async () => {
    expect(await audit(() => Response.json({}))).toMatchObject({ exitCode: 0, asked: 1 });
  });

  test("fails for what the registry knows, and passes with a written exception for it", async () => {
    const { exitCode, said } = await audit(() => Response.json(ADVISORIES));
    expect(exitCode).toBe(1);
    expect(said).toContain(`audit: ${ID}: pg <99.0.0 (low): it tells all`);
    expect(await audit(() => Response.json(ADVISORIES), [exception])).toMatchObject({ exitCode: 0 });
  });

  test("passes and says that it was not done where the registry does not answer", async () => {
    for (const answer of [() => new Response("not here", { status: 405 }), () => new Response("<html>")]) {
      const { exitCode, said } = await audit(answer, [exception]);
      expect(exitCode).toBe(0);
      expect(said).toContain("NOT DONE");
    }
  });
});
