import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import packageJson from "../../package.json" with { type: "json" };
import { tempDir } from "../fixtures/temp-dir.ts";

const ROOT = resolve(import.meta.dir, "../..");
const { dependencies, devDependencies, trustedDependencies } = packageJson;

test("every direct dependency has one exact version", () => {
  const versions = Object.entries({ ...dependencies, ...devDependencies });
  expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([]);
  expect(readFileSync(`${ROOT}/bunfig.toml`, "utf8")).toMatch(/^exact = true$/m);
});

test("no package may run a script when it is installed", async () => {
  // An empty list, where no list at all would mean Bun's own list of trusted packages.
  expect(trustedDependencies).toEqual([]);
  expect(await runsItsScript(trustedDependencies)).toBe(false);
  expect(await runsItsScript(["guest"])).toBe(true);
});

/** Whether the script of a package `guest` runs when it is installed into a house that trusts these. */
async function runsItsScript(trusted: string[]): Promise<boolean> {
  await using stack = new AsyncDisposableStack();
  const { path, remove } = await tempDir("install-scripts");
  stack.defer(remove);
  const files = {
    "package.json": { name: "house", trustedDependencies: trusted, dependencies: { guest: "file:./guest" } },
    "guest/package.json": { name: "guest", version: "1.0.0", scripts: { postinstall: `: > ${path}/ran` } },
  };
  for (const [name, content] of Object.entries(files)) {
    await Bun.write(`${path}/${name}`, JSON.stringify(content));
  }
  const { exitCode } = Bun.spawnSync([process.execPath, "install"], {
    ...{ cwd: path, stdout: "ignore", stderr: "ignore" },
  });
  expect(exitCode).toBe(0);
  return Bun.file(`${path}/ran`).exists();
}

test("whatever installs packages is bound to the lock file", () => {
  // The scripts of package.json install through supply-chain/prepare.ts.
  const files = ["supply-chain/prepare.ts", ".ci/run", "Dockerfile"].map((name) =>
    readFileSync(`${ROOT}/${name}`, "utf8"),
  );
  for (const text of files) {
    const installs = text.match(/(?:bun|\$BUN")"? install\b[^"\n]*|\["install"[^\]\n]*/g) ?? [];
    expect(installs.length).toBeGreaterThan(0);
    for (const install of installs) expect(install).toContain("--frozen-lockfile");
  }
});
