import { expect, test } from "bun:test";
import { join, resolve } from "node:path";
import packageJson from "../package.json" with { type: "json" };

const ROOT = resolve(import.meta.dir, "..");
const readme = await Bun.file(join(ROOT, "README.md")).text();

test("the README's configuration table is the one that the schema prints", () => {
  const { stdout } = Bun.spawnSync([process.execPath, "src/main.ts", "--config-table"], { cwd: ROOT });
  const table = /<!-- config: bun run readme -->\n([\s\S]*?)\n<!-- \/config -->/.exec(readme)?.[1];
  expect(table?.trim()).toBe(stdout.toString().trim());
});

test("README, CI and package.json name the same Bun", async () => {
  const pinned = packageJson.packageManager;
  expect(readme).toContain(`npx -y ${pinned} start`);
  expect(readme).toContain(`npx -y ${pinned} run test`);
  expect(await Bun.file(join(ROOT, ".ci/run")).text()).toContain(pinned);
  expect(await Bun.file(join(ROOT, "Dockerfile")).text()).toContain(`oven/${pinned.replace("@", ":")}`);
});

test("every script and file that the README names is there", async () => {
  const scripts = [...readme.matchAll(/bun(?:@[\d.]+)? run ([\w:]+)/g)].map(([, name]) => name ?? "");
  expect(scripts.filter((name) => !(name in packageJson.scripts))).toEqual([]);
  const files = [...readme.matchAll(/`((?:src|workers|test|bench)\/[\w./-]+\.ts)`/g)].map(
    ([, path]) => path ?? "",
  );
  expect(files.length).toBeGreaterThan(0);
  for (const path of files) expect([path, await Bun.file(join(ROOT, path)).exists()]).toEqual([path, true]);
});
