import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { bearer, makeKey } from "../access/keyed.ts";
import { logLines } from "../engine/engines.ts";
import { seedOf } from "../engine/random.ts";
import { useEngine } from "../fixtures/use-engine.ts";
import { anyRequest, exchange } from "./any-bytes.ts";
import { metricsOf, servedDuring } from "./attackers.ts";
import { sized } from "./sizes.ts";

// Attackers, of README.md: any bytes to the HTTP port; no 5xx but the documented ones, no leak, memory flat.

setDefaultTimeout(900_000);

const REQUESTS = sized(9000, 200_000);
const AT_ONCE = 40;
/** Of the requests, before memory is looked at for the first time: code is compiled and pools are filled by then. */
const WARM_UP = REQUESTS / 3;
const MEBIBYTE = 1024 * 1024;
const GROWN_LIMIT_MIB = 50;
const WORST_ANSWER_MS = 3000;
const ERROR_LEVEL = 50;

/** 501 and 505 are the server's own word for what is no HTTP/1.1; 503 is documented, and says when to come back. */
const ALLOWED_5XX = [501, 503, 505];
/** A stack, a source file, SQL, the database's words, Bun's page of faults. */
const INSIDE =
  /\n\s+at .+:\d+|\.(?:ts|js|mjs):\d+|node_modules|\/src\/|select .+ from |insert into|violates|SystemError|TypeError|<!doctype/i;

describe("an HTTP port that is sent anything", () => {
  const sale = useEngine({
    env: { TRUSTED_PROXY_COUNT: "1", RATE_LIMIT_ADDRESS_REQUESTS: "10000000", RATE_LIMIT_KEY_REQUESTS: "0" },
  });
  let key: string;
  beforeAll(async () => {
    key = await makeKey(sale.env, "admin");
  });

  test("stays alive, tells nothing of its inside, keeps its memory, and serves a normal client", async () => {
    const seed = seedOf("any-bytes.test.ts");
    const headers = Object.entries(bearer(key)).map(([name, value]) => `${name}: ${value}`);
    const requests = fc.sample(anyRequest(headers), { seed, numRuns: REQUESTS });
    const port = Number(new URL(sale.url).port);
    const statuses: Record<string, number> = {};
    let before = 0;
    const sendAll = async (from: number, to: number) => {
      let next = from;
      const sending = Array.from({ length: AT_ONCE }, async () => {
        while (next < to) {
          const pieces = requests[next++] ?? [];
          const answer = await exchange(port, pieces);
          const told = () => JSON.stringify(Buffer.concat(pieces).toString("latin1").slice(0, 2000));
          for (const [, status = ""] of answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)) {
            statuses[status] = (statuses[status] ?? 0) + 1;
            if (Number(status) >= 500 && !ALLOWED_5XX.includes(Number(status)))
              throw new Error(`answered ${status}: ${told()}\n${answer.slice(0, 1000)}`);
          }
          const leak = INSIDE.exec(answer.replace(Buffer.concat(pieces).toString("latin1"), ""))?.[0];
          if (leak) throw new Error(`told ${JSON.stringify(leak)}: ${told()}\n${answer.slice(0, 1000)}`);
        }
      });
      await Promise.all(sending);
    };
    const rss = async () => (await metricsOf(sale.url)).value("process_resident_memory_bytes") ?? 0;
    const served = await servedDuring(sale.url, async () => {
      await sendAll(0, WARM_UP);
      before = await rss();
      await sendAll(WARM_UP, REQUESTS);
    });
    const grownMiB = ((await rss()) - before) / MEBIBYTE;
    console.log("any-bytes.test.ts:", statuses, served, `${Math.round(grownMiB)} MiB more`);
    // Each of them comes dozens of times, whatever the seed; rarer ones would make the test a matter of luck.
    expect(statuses).toContainKeys(["200", "400", "404", "405", "409"]);
    expect(served.statuses).not.toContainAnyKeys(["0", "500"]);
    expect(served.worstMs).toBeLessThan(WORST_ANSWER_MS);
    expect(grownMiB).toBeLessThan(GROWN_LIMIT_MIB);
  });

  test("has sold soundly, and logged no fault", async () => {
    expect(sale.engine.exitCode()).toBeUndefined();
    await sale.facts.expectSound();
    expect(logLines(sale.engine).filter(({ level }) => level >= ERROR_LEVEL)).toEqual([]);
  });
});
