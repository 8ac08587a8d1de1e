import { describe, expect, test } from "bun:test";
import { Lifecycle } from "../../src/runtime/lifecycle.ts";
import { createLog } from "../../src/telemetry/log.ts";

const silent = createLog("silent", "test");

/** A lifecycle whose closes write down when they begin and when they end. */
function opened(...names: string[]) {
  const lifecycle = new Lifecycle();
  const seen: string[] = [];
  for (const name of names) {
    lifecycle.onClose(name, async () => {
      seen.push(`${name} begins`);
      await Promise.resolve();
      seen.push(`${name} ends`);
    });
  }
  return { lifecycle, seen };
}

describe("the lifecycle", () => {
  test("closes the newest first and each only after the one before it has ended", async () => {
    const { lifecycle, seen } = opened("database", "threads", "server");
    await lifecycle.close(silent);
    expect(seen).toEqual([
      ...["server begins", "server ends"],
      ...["threads begins", "threads ends"],
      ...["database begins", "database ends"],
    ]);
  });

  test.each([
    [
      "throws",
      () => {
        throw new Error("stuck");
      },
    ],
    ["rejects", () => Promise.reject(new Error("stuck"))],
  ])("goes on with the rest when a close %s, and resolves", async (_how, close) => {
    const { lifecycle, seen } = opened("database");
    lifecycle.onClose("threads", close);
    await lifecycle.close(silent);
    expect(seen).toEqual(["database begins", "database ends"]);
  });

  test("names in the log what could not be closed, and why", async () => {
    const lifecycle = new Lifecycle();
    const lines: unknown[][] = [];
    const log = createLog("silent", "test");
    log.error = (...line: unknown[]) => lines.push(line);
    lifecycle.onClose("threads", () => Promise.reject(new Error("stuck")));
    await lifecycle.close(log);
    expect(lines).toEqual([[{ error: "stuck" }, "could not close threads"]]);
  });

  test("closes everything once, however often it is asked", async () => {
    const { lifecycle, seen } = opened("database");
    await Promise.all([lifecycle.close(silent), lifecycle.close(silent)]);
    await lifecycle.close(silent);
    expect(seen).toEqual(["database begins", "database ends"]);
  });
});
