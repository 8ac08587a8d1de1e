import { beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdir, symlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { KEY } from "../access/keyed.ts";
import { runEngine } from "../engine/command.ts";
import { openDatabase } from "../fixtures/postgres.ts";
import { useStack } from "../fixtures/stack.ts";
import { openFolder } from "../fixtures/temp-dir.ts";

const ROOT = resolve(import.meta.dir, "../..");
const stack = useStack();

/** Runs a command as a person does who is in that folder. */
async function run(
  command: string[],
  { cwd = ROOT, env = {} }: { cwd?: string; env?: Record<string, string> } = {},
) {
  const { PATH = "", HOME = "" } = process.env;
  const child = Bun.spawn(command, {
    ...{ cwd, env: { PATH, HOME, ...env }, stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { exitCode: await child.exited, stdout, stderr };
}

describe("a Bun that is too old", () => {
  let clone: string;

  /** As a fresh clone, without any package, of a version that needs a newer Bun than there is. */
  beforeAll(async () => {
    clone = await openFolder(stack, "old-bun");
    for (const name of ["bunfig.toml", "bun.lock", "supply-chain", "src", "test", "bench", "patches"])
      await cp(join(ROOT, name), join(clone, name), { recursive: true });
    const needy = { ...packageJson, engines: { bun: ">=99.1.0" } };
    await Bun.write(join(clone, "package.json"), JSON.stringify(needy, null, 2));
  });

  test.each([
    ["start"],
    ["run start keys list"],
    ["run test"],
    ["run verify"],
    ["src/main.ts"],
    ["src/main.ts --help"],
    ["test test/runtime/lifecycle.test.ts"],
  ])("gets one line that names both versions for `bun %s`", async (args) => {
    const { exitCode, stdout, stderr } = await run([process.execPath, ...args.split(" ")], { cwd: clone });
    const lines = `${stdout}${stderr}`.split("\n").filter((line) => line.startsWith("sentinel: "));
    expect(lines).toEqual([
      `sentinel: Bun ${Bun.version} is too old, 99.1.0 or newer is needed: type npx -y ${packageJson.packageManager} where you typed bun`,
    ]);
    expect(`${stdout}${stderr}`).not.toMatch(/error:|\bat .+:\d+:\d+/);
    expect(exitCode).toBe(1);
  });
});

describe("a clone without its packages", () => {
  test("gets one line from src/main.ts that says what to type", async () => {
    const clone = await openFolder(stack, "no-packages");
    for (const name of ["bunfig.toml", "package.json", "src"])
      await cp(join(ROOT, name), join(clone, name), { recursive: true });
    const { exitCode, stdout, stderr } = await run([process.execPath, "src/main.ts"], { cwd: clone });
    expect([exitCode, stdout]).toEqual([1, ""]);
    expect(stderr).toBe(
      `sentinel: the packages are not installed: type npx -y ${packageJson.packageManager} install --frozen-lockfile\n`,
    );
  });
});

describe("what a command prints is its own", () => {
  test("the help of start, keys and verify, whose scripts install the packages first", async () => {
    for (const [script, ...args] of [
      ["start", "--help"],
      ["start", "help"],
      ["start", "keys", "--help"],
      ["start", "verify", "--help"],
      ["verify", "--help"],
    ] as const) {
      const { exitCode, stdout, stderr } = await run([process.execPath, "run", script, ...args]);
      expect({ script, args, exitCode, stderr }).toEqual({ script, args, exitCode: 0, stderr: "" });
      expect(stdout).toContain(`Usage: npx -y ${packageJson.packageManager} `);
      expect(stdout).not.toContain("bun install");
    }
  });

  test("the key of `start keys create`", async () => {
    const database = await openDatabase(stack);
    const command = [process.execPath, "run", "start", "keys", "create", "--role", "reader"];
    const { stdout, stderr } = await run(command, { env: { DATABASE_URL: database.url } });
    expect(stdout.trimEnd()).toMatch(KEY);
    expect(stderr).toMatch(/^API key .+\n$/);
  });

  test("`npm start` works too, where npm is", async () => {
    if (!Bun.which("npm")) return;
    const { exitCode, stdout } = await run(["npm", "--silent", "start", "--", "--version"]);
    expect([exitCode, stdout]).toEqual([0, `${packageJson.version}\n`]);
  });
});

describe("a command that was meant otherwise", () => {
  test.each([
    ["bench/run.ts", ["--only", "acepted"], "acepted: no such scenario: did you mean accepted?"],
    ["bench/run.ts", ["--conections", "1"], "did you mean --connections?"],
    ["test/run/main.ts", ["test", "--lane", "2"], "did you mean --lanes?"],
  ])("%s %p says what was meant", async (script, args, told) => {
    const { exitCode, stdout, stderr } = await run([process.execPath, script, ...args]);
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(told);
    expect(stderr).not.toMatch(/\bat .+:\d+:\d+/);
  });

  test("a command that cannot reach the database or Kafka names the variable", async () => {
    const nobody = { DATABASE_URL: "postgres://shop:s3cret@localhost:1/none", KAFKA_BROKERS: "127.0.0.1:1" };
    for (const args of [["republish"], ["topic"], ["verify"]]) {
      const { exitCode, stderr } = await runEngine(nobody, { args });
      expect(stderr).toMatch(/^sentinel: (\w+: )?(DATABASE_URL|KAFKA_BROKERS): .+ECONNREFUSED.+\n$/);
      expect([exitCode, stderr.includes("s3cret")]).toEqual([2, false]);
    }
  });

  test(".ci/run explains itself for --help, and runs nothing for what it does not know", async () => {
    const bin = await openFolder(stack, "ci");
    for (const name of ["bash", "dirname"]) await symlink(Bun.which(name) ?? "", join(bin, name));
    const copy = join(bin, "clone/.ci");
    await cp(join(ROOT, ".ci/run"), join(copy, "run"));
    const inBare = (arg: string) => run([join(bin, "bash"), join(copy, "run"), arg], { env: { PATH: bin } });
    const help = await inBare("--help");
    expect(help).toMatchObject({
      exitCode: 0,
      stderr: "",
      stdout: expect.stringContaining("usage: .ci/run"),
    });
    expect(await inBare("tests")).toMatchObject({ exitCode: 2, stdout: "" });
  });

  test("a misspelt variable is told on standard error", async () => {
    const { stderr } = await runEngine({ DATABASE_ULR: "x" }, { args: ["verify", "--help"] });
    expect(stderr).toBe(
      "sentinel: DATABASE_ULR: no such setting, so it is ignored: did you mean DATABASE_URL?\n",
    );
  });

  test("stress-test.sh explains itself, and names an option that it does not have", async () => {
    const help = await run(["bash", "stress-test.sh", "--help"]);
    expect([help.exitCode, help.stderr]).toEqual([0, ""]);
    expect(help.stdout).toContain("[seatId] [concurrency]");
    const unknown = await run(["bash", "stress-test.sh", "--seats"]);
    expect([unknown.exitCode, unknown.stdout]).toEqual([1, ""]);
    expect(unknown.stderr).toContain("there is no option --seats");
    const meant = await run(["bash", "stress-test.sh", "--hlep"]);
    expect([meant.exitCode, meant.stdout]).toEqual([1, ""]);
    expect(meant.stderr).toContain("did you mean --help?");
  });

  test("bench without Redis prints one line", async () => {
    const bin = await openFolder(stack, "bare");
    await mkdir(join(bin, "bin"));
    for (const name of ["sh", "env"]) await symlink(Bun.which(name) ?? "/bin/sh", join(bin, "bin", name));
    const { exitCode, stdout, stderr } = await run([process.execPath, "run", "bench"], {
      env: { PATH: join(bin, "bin") },
    });
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr).toBe("bench: no redis-server or valkey-server is on PATH: install one of them\n");
  });
});
