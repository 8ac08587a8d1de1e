import { statSync } from "node:fs";
import { dirname, join } from "node:path";

interface Tier {
  /** The folders of `test/` in the tier; undefined for all that no other tier names. */
  rooms: readonly string[] | undefined;
  /** Test processes side by side, if the machine has that many cores. */
  lanes: number;
  /** How many files share one `bun test` process and its Postgres. With more, lanes would be idle at the end. */
  groupLimitFiles: number;
}

export const TIERS = {
  test: { rooms: undefined, lanes: 4, groupLimitFiles: 8 },
  engine: { rooms: ["engine", "security", "monitoring", "first-contact"], lanes: 2, groupLimitFiles: 6 },
  faults: { rooms: ["faults"], lanes: 2, groupLimitFiles: 4 },
} as const satisfies Record<string, Tier>;

export type TierName = keyof typeof TIERS;

export const isTier = (name: string): name is TierName => name in TIERS;

/** The test files of a tier, relative to the root, the largest first. */
export function filesOf(tier: TierName, root: string): string[] {
  const named = Object.values(TIERS).flatMap(({ rooms }) => rooms ?? []);
  const rooms: readonly string[] | undefined = TIERS[tier].rooms;
  return [...new Bun.Glob("test/**/*.test.ts").scanSync(root)]
    .filter((file) => {
      const room = file.split("/")[1] ?? "";
      return rooms ? rooms.includes(room) : !named.some((name) => name === room);
    })
    .sort((one, other) => sizeOf(root, other) - sizeOf(root, one));
}

/** Groups of files of one folder, the largest first, so that slow groups do not start last. */
export function groupsOf(tier: TierName, files: string[]): string[][] {
  const limit = TIERS[tier].groupLimitFiles;
  const rooms = Map.groupBy(files, dirname);
  const groups = [...rooms.values()].flatMap((room) =>
    Array.from({ length: Math.ceil(room.length / limit) }, (_, index) =>
      room.slice(index * limit, (index + 1) * limit),
    ),
  );
  return groups.sort((one, other) => other.length - one.length);
}

const sizeOf = (root: string, file: string) => statSync(join(root, file)).size;
