import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { bodyOf, reserve } from "../engine/buyers.ts";
import { freePort } from "../fixtures/free-port.ts";
import { findProgram, partOrSkip } from "../fixtures/parts.ts";
import { useStack } from "../fixtures/stack.ts";
import { untilWithin, within } from "../fixtures/until.ts";
import { type BareMachine, openBareMachine, openTerminal } from "./bare-machine.ts";

// Bun and the packages are fetched. Bun keeps this for one file only.
setDefaultTimeout(180_000);

const FETCH_DEADLINE_MS = 150_000;
const END_DEADLINE_MS = 20_000;
/** What may stand before the first screen. */
const LINES_BEFORE_LIMIT = 12;
const npm = await partOrSkip("npm", () => findProgram("npm"));

const stack = useStack();
let machine: BareMachine;
beforeAll(async () => {
  if (npm) machine = await openBareMachine(stack);
});

describe.skipIf(!npm)("on a machine with only Node and npm, in root's home", () => {
  test.each([["npx", "-y", packageJson.packageManager, "start"].join(" "), "npm start"])(
    "%s shows its screen, sells, and ends with 0 by one Ctrl-C",
    async (command) => {
      const port = await freePort();
      const terminal = openTerminal(command.split(" "), machine, { PORT: String(port) });
      try {
        const url = `http://localhost:${port}`;
        await untilWithin(FETCH_DEADLINE_MS, "the screen is shown", () =>
          terminal.output().includes("Ctrl-C"),
        );
        const [before = ""] = terminal.output().split("is selling at");
        expect(before.split("\n").length).toBeLessThanOrEqual(LINES_BEFORE_LIMIT);
        expect(terminal.output()).toContain(`is selling at ${url}`);
        expect(terminal.output()).toContain(`data in ${join(machine.clone, "data/postgres")}`);
        expect(terminal.output()).toContain("Redis     none: not needed while this is the only engine");
        const seatId = command === "npm start" ? 4 : 3;
        expect((await reserve(url, seatId)).status).toBe(201);
        expect(bodyOf(await reserve(url, seatId))).toMatchObject({ status: "TAKEN" });
        // Kept from the start before.
        if (command === "npm start") expect((await reserve(url, 3)).status).toBe(409);

        terminal.press("\x03");
        const exitCode = await within(terminal.exited, END_DEADLINE_MS, "it ends by Ctrl-C");
        expect({ exitCode, output: terminal.output() }).toMatchObject({ exitCode: 0 });
        expect(terminal.output()).not.toMatch(/error:|exited with code/);
        expect(existsSync(join(machine.clone, "data/postgres/postmaster.pid"))).toBe(false);
      } finally {
        terminal.kill();
      }
    },
  );
});
