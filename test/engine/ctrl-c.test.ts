import { beforeAll, describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { openDatabase } from "../fixtures/postgres.ts";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";
import { until } from "../fixtures/until.ts";
import { reserveAtOnce } from "./buyers.ts";
import { engineEnvironment } from "./command.ts";
import { type Facts, openFacts } from "./facts.ts";

const ROOT = resolve(import.meta.dir, "../..");
const CTRL_C = "\x03";
/** A press must not wait for load balancers. */
const DRAIN_DELAY_MS = "15000";

const RUNNERS: [name: string, processes: string, command: string[]][] = [
  ["bun run", "1", [process.execPath, "run", "start"]],
  ["npx", "2", ["npx", "-y", packageJson.packageManager, "start"]],
  ["nothing", "1", [process.execPath, "src/main.ts"]],
  ["nothing", "2", [process.execPath, "src/main.ts"]],
];

describe("Ctrl-C in a terminal", () => {
  const stack = useStack();
  let databaseUrl: string;
  let facts: Facts;

  beforeAll(async () => {
    const database = await openDatabase(stack);
    databaseUrl = database.url;
    facts = await openFacts(stack, databaseUrl);
    await facts.fill(1000);
  });

  /** The command in a terminal of its own, ready to sell. */
  const openTerminal = async (command: string[], env: Record<string, string> = {}) => {
    const dataDir = await openFolder(stack, "terminal");
    const environment = await engineEnvironment({
      ...{ DATABASE_URL: databaseUrl, DATA_DIR: dataDir, DRAIN_DELAY_MS, ...env },
    });
    let screen = "";
    const decoder = new TextDecoder();
    const child = Bun.spawn(command, {
      ...{ cwd: ROOT, env: environment },
      // Given its options, not a Bun.Terminal: only then does the process have it as its controlling terminal.
      terminal: {
        data: (_, bytes) => {
          screen += decoder.decode(bytes, { stream: true });
        },
      },
    });
    const { terminal } = child;
    if (!terminal) throw new Error("there is no terminal");
    stack.defer(async () => {
      // The terminal's hangup ends whatever is left in it.
      terminal.close();
      await child.exited;
    });
    await until("its screen says how to end it", () => screen.includes("Ctrl-C"));
    const ends = async () => {
      await until("it ends", () => child.exitCode !== null || child.signalCode !== null);
      return child.exitCode ?? child.signalCode;
    };
    return { url: `http://127.0.0.1:${environment.PORT}`, screen: () => screen, terminal, ends };
  };

  test.each(RUNNERS)(
    "under %s ends %s process(es) once, in order and at once",
    async (_, processes, command) => {
      const { screen, terminal, ends, url } = await openTerminal(command, { WEB_CONCURRENCY: processes });
      const pressedAt = performance.now();
      terminal.write(CTRL_C);
      expect(await ends()).toBe(0);
      expect(performance.now() - pressedAt).toBeLessThan(Number(DRAIN_DELAY_MS));
      expect(screen()).toContain("what was accepted is finished first");
      expect(screen()).toMatch(/INFO.*: .*\bended\b/);
      expect(screen()).not.toContain("exited with code");
      await expect(fetch(`${url}/health/live`)).rejects.toThrow();
    },
  );

  test("pressed again a second later ends at once", async () => {
    const { terminal, url, ends } = await openTerminal([process.execPath, "src/main.ts"]);
    await facts.query("begin");
    try {
      await facts.query("lock table seat_events in access exclusive mode");
      const crowd = await reserveAtOnce([{ url, seatId: 1 }]);
      await crowd.sent;
      terminal.write(CTRL_C);
      const pressedAt = performance.now();
      await until("a second is over", () => performance.now() > pressedAt + 1000);
      terminal.write(CTRL_C);
      expect(await ends()).toBe(130);
      await crowd.answers;
    } finally {
      await facts.query("rollback");
    }
  });
});
