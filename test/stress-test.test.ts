import { describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import { bodyOf, reserve } from "./engine/buyers.ts";
import { freePort } from "./fixtures/free-port.ts";
import { findProgram, partOrSkip } from "./fixtures/parts.ts";
import { useEngine } from "./fixtures/use-engine.ts";

const SCRIPT = resolve(import.meta.dir, "../stress-test.sh");
const HANG_TIMEOUT_MS = 50_000;

const { PATH = "" } = process.env;

const curl = await partOrSkip("curl", () => findProgram("curl"));
const bash = await partOrSkip("curl", () => findProgram("bash"));

describe.skipIf(!curl || !bash)("stress-test.sh", () => {
  const sale = useEngine();

  const run = async (args: string[], baseUrl = sale.url) => {
    const child = Bun.spawn([bash ?? "", SCRIPT, ...args], {
      ...{ env: { PATH, BASE_URL: baseUrl } },
      ...{ stdin: "ignore", stdout: "pipe", stderr: "pipe" },
      ...{ timeout: HANG_TIMEOUT_MS, killSignal: "SIGKILL" },
    });
    const [stdout, stderr, exitCode] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    return { stdout, stderr, exitCode };
  };
  const expectRefused = ({ stderr, exitCode }: Awaited<ReturnType<typeof run>>, told: RegExp) => {
    expect(stderr).toMatch(/^FAILED: .+\n$/);
    expect(stderr).toMatch(told);
    expect(exitCode).toBe(1);
  };

  test("sends 50 buyers at once for the free seat it is given, counts the answers and ends with 0", async () => {
    const { stdout, stderr, exitCode } = await run(["2"]);
    expect([exitCode, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("50 buyers at once for seat 2 (version 0)");
    expect(stdout).toMatch(/^ +201 +1$/m);
    expect(stdout).toMatch(/^ +409 +49$/m);
    expect(stdout).toContain("seat 2 is now reserved, version 0 -> 1");
    expect(bodyOf(await reserve(sale.url, 2))).toMatchObject({ status: "TAKEN" });
    expect((await sale.facts.ledger()).filter(({ seatId }) => seatId === 2)).toHaveLength(1);
  });

  test("takes a free seat by itself where none is given", async () => {
    const { stdout, exitCode } = await run([]);
    expect(exitCode).toBe(0);
    const [, seatId] = /OK: exactly one of 50 buyers won seat (\d+)/.exec(stdout) ?? [];
    expect((await sale.facts.seats()).get(Number(seatId))).toMatchObject({ status: "reserved", version: 1 });
  });

  test("says that a seat is taken, and does not end with 0", async () => {
    expect((await reserve(sale.url, 5)).status).toBe(201);
    expectRefused(await run(["5"]), /seat 5 is not free: it is reserved/);
  });

  test("says that there is no such seat", async () => {
    expectRefused(await run(["1001"]), /there is no seat 1001/);
  });

  test("says that what it is given is no seat and no number of buyers", async () => {
    for (const nonsense of ["abc", "0", "-1", "1.5", "2;id", "$(id)"]) {
      expectRefused(await run([nonsense]), /seatId must be a positive whole number/);
    }
    for (const nonsense of ["0", "x", "1001"])
      expectRefused(await run(["3", nonsense]), /concurrency must be/);
    expect((await sale.facts.seats()).get(3)).toMatchObject({ status: "available" });
  });

  test("says that no engine is there", async () => {
    const nowhere = `http://127.0.0.1:${await freePort()}`;
    expectRefused(await run(["6"], nowhere), /no engine answers/);
  });
});
