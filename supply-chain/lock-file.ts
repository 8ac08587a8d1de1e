import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";

export const ROOT = resolve(import.meta.dir, "..");

const dependencyNames = z.record(z.string(), z.string()).default({});
const metadata = z.looseObject({
  dependencies: dependencyNames,
  optionalDependencies: dependencyNames,
  peerDependencies: dependencyNames,
  optionalPeers: z.array(z.string()).default([]),
});
const lockFile = z.looseObject({
  workspaces: z.object({
    "": z.looseObject({
      name: z.string(),
      dependencies: dependencyNames,
      devDependencies: dependencyNames,
    }),
  }),
  /** By the place in node_modules: `name@version`, the registry (empty: npm's), what it needs, its hash. */
  packages: z.record(z.string(), z.tuple([z.string(), z.string(), metadata, z.string()])),
});

export interface LockedPackage {
  /** Where it lies below node_modules: `a`, or `a/b` for the `b` that only `a` uses. */
  place: string;
  name: string;
  version: string;
  /** As npm writes it: algorithm, dash, base64. */
  integrity: string;
  /** Places of what it needs. */
  needs: string[];
}

export interface Locked {
  packages: Map<string, LockedPackage>;
  /** Places of what the engine itself runs with, and of what only its makers need. */
  direct: { runtime: string[]; development: string[] };
}

/** The packages that `bun.lock` names. @throws {Error} when one of them is not from npm, or has no hash. */
export function readLockFile(path = join(ROOT, "bun.lock")): Locked {
  const { workspaces, packages } = lockFile.parse(Bun.JSONC.parse(readFileSync(path, "utf8")));
  const places = new Set(Object.keys(packages));
  const read = Object.entries(packages).map(([place, [identity, registry, needs, integrity]]) => {
    const at = identity.lastIndexOf("@");
    const [name, version] = [identity.slice(0, at), identity.slice(at + 1)];
    if (registry !== "")
      throw new Error(`${identity} does not come from npm's registry but from ${registry}`);
    if (!integrity.startsWith("sha512-")) throw new Error(`${identity} has no SHA-512 hash`);
    const { dependencies, optionalDependencies, peerDependencies, optionalPeers } = needs;
    // Optional peers are used where they are, and never brought in.
    const peers = Object.keys(peerDependencies).filter((peer) => !optionalPeers.includes(peer));
    const named = [...Object.keys({ ...dependencies, ...optionalDependencies }), ...peers];
    const found = named.flatMap((each) => resolvePlace(each, place, places) ?? []);
    return { place, name, version, integrity, needs: found } satisfies LockedPackage;
  });
  const root = workspaces[""];
  return {
    packages: new Map(read.map((each) => [each.place, each])),
    direct: { runtime: Object.keys(root.dependencies), development: Object.keys(root.devDependencies) },
  };
}

/** As Node looks for it: beside who asks, then one folder up, and so on. Optional peers may be nowhere. */
function resolvePlace(name: string, asker: string, places: Set<string>): string | undefined {
  for (let folder = asker; folder !== ""; folder = parentOf(folder)) {
    if (places.has(`${folder}/${name}`)) return `${folder}/${name}`;
  }
  return places.has(name) ? name : undefined;
}

/** `a/@b/c` is the package `@b/c` of `a`. */
const parentOf = (place: string) => place.replace(/(?:^|\/)(?:@[^/]+\/)?[^/]+$/, "");
