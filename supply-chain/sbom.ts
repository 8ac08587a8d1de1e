import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Contrib, Enums, Models, Serialize, Spec } from "@cyclonedx/cyclonedx-library";
import packageJson from "../package.json" with { type: "json" };
import { type Locked, type LockedPackage, ROOT, readLockFile } from "./lock-file.ts";

const licences = new Contrib.License.Factories.LicenseFactory((expression) => {
  if (!/ (?:AND|OR|WITH) /.test(expression)) throw new Error("a single name is no expression");
});

/**
 * The software bill of materials, CycloneDX 1.6 in JSON, of every package that `bun.lock` names: name, version,
 * package URL, licence where it is installed here, the registry's SHA-512, who needs whom. What only the engine's
 * makers need has the scope `excluded`. The same lock file gives the same text.
 */
export function billOfMaterials({ packages, direct }: Locked = readLockFile()): string {
  const engine = new Models.Component(Enums.ComponentType.Application, packageJson.name, {
    version: packageJson.version,
    description: packageJson.description,
    licenses: new Models.LicenseRepository([licences.makeFromString(packageJson.license)]),
    bomRef: `${packageJson.name}@${packageJson.version}`,
  });
  const shipped = reachedFrom(direct.runtime, packages);
  const components = new Map(
    [...packages.values()].map((each) => [each.place, componentOf(each, shipped.has(each.place))]),
  );
  const refOf = (place: string) => components.get(place)?.bomRef;
  for (const { place, needs } of packages.values()) {
    for (const ref of needs.map(refOf)) if (ref) components.get(place)?.dependencies.add(ref);
  }
  for (const ref of [...direct.runtime, ...direct.development].map(refOf))
    if (ref) engine.dependencies.add(ref);
  const bom = new Models.Bom({
    metadata: new Models.Metadata({ component: engine }),
    components: new Models.ComponentRepository(components.values()),
  });
  const serializer = new Serialize.JsonSerializer(new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6));
  return `${serializer.serialize(bom, { sortLists: true, space: 2 })}\n`;
}

function componentOf(
  { place, name, version, integrity }: LockedPackage,
  isShipped: boolean,
): Models.Component {
  const slash = name.indexOf("/");
  const licence = licenceOf(place);
  return new Models.Component(Enums.ComponentType.Library, name.slice(slash + 1), {
    ...(slash > 0 && { group: name.slice(0, slash) }),
    version,
    bomRef: place,
    purl: `pkg:npm/${name.replace("@", "%40")}@${version}`,
    scope: isShipped ? Enums.ComponentScope.Required : Enums.ComponentScope.Excluded,
    hashes: new Models.HashDictionary([
      [
        Enums.HashAlgorithm["SHA-512"],
        Buffer.from(integrity.slice("sha512-".length), "base64").toString("hex"),
      ],
    ]),
    licenses: new Models.LicenseRepository(licence === undefined ? [] : [licences.makeFromString(licence)]),
  });
}

/** As the package itself says; packages for other systems are not installed here and say nothing. */
function licenceOf(place: string): string | undefined {
  const folder = join(ROOT, "node_modules", ...placeToFolders(place), "package.json");
  try {
    const { license, licenses } = JSON.parse(readFileSync(folder, "utf8"));
    const named = license ?? licenses?.[0];
    return typeof named === "string" ? named : named?.type;
  } catch {
    return undefined;
  }
}

/** `a/@b/c` lies in node_modules/a/node_modules/@b/c. */
const placeToFolders = (place: string) =>
  [...place.matchAll(/(?:@[^/]+\/)?[^/]+/g)].flatMap(([name], index) =>
    index === 0 ? [name] : ["node_modules", name],
  );

function reachedFrom(places: string[], packages: Locked["packages"]): Set<string> {
  const reached = new Set<string>();
  for (const waiting = [...places]; waiting.length > 0; ) {
    const place = waiting.pop() ?? "";
    if (reached.has(place)) continue;
    reached.add(place);
    waiting.push(...(packages.get(place)?.needs ?? []));
  }
  return reached;
}

if (import.meta.main) {
  const target = process.argv[2] ?? "sbom.cdx.json";
  await Bun.write(target, billOfMaterials());
  console.log(`wrote ${target}`);
}
