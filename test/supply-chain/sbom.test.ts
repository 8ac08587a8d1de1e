import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import Ajv from "ajv";
import addFormats from "ajv-formats";
import { z } from "zod";
import { readLockFile } from "../../supply-chain/lock-file.ts";
import { billOfMaterials } from "../../supply-chain/sbom.ts";

const text = billOfMaterials();
const { components, metadata, dependencies } = z
  .looseObject({
    components: z.array(
      z.looseObject({
        "bom-ref": z.string(),
        name: z.string(),
        group: z.string().optional(),
        version: z.string(),
        purl: z.string(),
        scope: z.enum(["required", "excluded"]),
        licenses: z.array(z.unknown()).optional(),
        hashes: z.array(z.object({ alg: z.literal("SHA-512"), content: z.string().length(128) })).length(1),
      }),
    ),
    metadata: z.looseObject({ component: z.looseObject({ name: z.string(), version: z.string() }) }),
    dependencies: z.array(z.object({ ref: z.string(), dependsOn: z.array(z.string()).optional() })),
  })
  .parse(JSON.parse(text));
const locked = readLockFile();

test("the bill of materials is valid by the schema of CycloneDX 1.6", () => {
  const folder = join(
    dirname(Bun.resolveSync("@cyclonedx/cyclonedx-library/package.json", import.meta.dir)),
    "res/schema",
  );
  const schema = (name: string) =>
    JSON.parse(readFileSync(join(folder, `${name}.SNAPSHOT.schema.json`), "utf8"));
  const ajv = new Ajv({ strict: false });
  for (const name of ["spdx", "jsf-0.82", "cryptography-defs"]) {
    ajv.addSchema({ ...schema(name), $id: `http://cyclonedx.org/schema/${name}.SNAPSHOT.schema.json` });
  }
  addFormats(ajv);
  // Not in ajv-formats, and nothing of ours has them.
  for (const format of ["iri-reference", "idn-email"]) ajv.addFormat(format, true);
  const validate = ajv.compile(schema("bom-1.6"));
  validate(JSON.parse(text));
  expect(validate.errors).toBeNull();
  expect(validate({ ...JSON.parse(text), components: [{ type: "library" }] })).toBe(false);
});

test("it names every package of the lock file, and nothing else, with the hash that the registry vouches for", () => {
  const told = components.map(({ group, name, version, purl, hashes }) => {
    const full = group ? `${group}/${name}` : name;
    expect(purl).toBe(`pkg:npm/${full.replace("@", "%40")}@${version}`);
    return `${full}@${version} ${hashes[0]?.content}`;
  });
  const wanted = [...locked.packages.values()].map(
    ({ name, version, integrity }) =>
      `${name}@${version} ${Buffer.from(integrity.replace("sha512-", ""), "base64").toString("hex")}`,
  );
  expect(told.sort()).toEqual(wanted.sort());
  const lines = readFileSync(join(import.meta.dir, "../../bun.lock"), "utf8").match(/"sha512-[^"]+"\]/g);
  expect(components.length).toBe(lines?.length ?? 0);
});

test("it tells the licence of everything that is installed", () => {
  const without = components.filter(({ licenses }) => !licenses?.length).map((each) => each["bom-ref"]);
  const installed = without.filter((place) => {
    try {
      Bun.resolveSync(`${place}/package.json`, join(import.meta.dir, "../.."));
      return true;
    } catch {
      return false;
    }
  });
  expect(installed).toEqual([]);
});

test("it tells what is shipped from what its makers need, and who needs whom", () => {
  const scopeOf = (name: string) => components.find((each) => each["bom-ref"] === name)?.scope;
  expect([scopeOf("pg"), scopeOf("pg-protocol"), scopeOf("elysia")]).toEqual([
    "required",
    "required",
    "required",
  ]);
  expect([scopeOf("tinybench"), scopeOf("fast-check")]).toEqual(["excluded", "excluded"]);
  const needs = new Map(dependencies.map(({ ref, dependsOn = [] }) => [ref, dependsOn]));
  expect(needs.get("pg")).toContain("pg-protocol");
  expect(needs.get(`${metadata.component.name}@${metadata.component.version}`)).toContain("pg");
});

test("the same lock file gives the same text", () => {
  expect(billOfMaterials()).toBe(text);
});
