import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Child, startChild } from "./child.ts";
import type { Missing } from "./parts.ts";
import { giveToPostgres } from "./postgres-cluster.ts";
import { tempDir } from "./temp-dir.ts";
import { until } from "./until.ts";

const MOUNT_DEADLINE_MS = 5000;
const BALLAST = "ballast";
const BLOCK_BYTES = 64 * 1024;

/** A disk of a few megabytes that can be filled to its last byte: a tmpfs that only its own processes see. */
export interface SmallDisk {
  /** Its root, for those who are `inside`. */
  path: string;
  /** What a command is started behind to be where it is mounted. */
  inside: string[];
  /** Nobody can write another byte to it. */
  fill(): Promise<void>;
  free(): Promise<void>;
}

/** As root, or where the system lets a user have a namespace of mounts of its own. */
const NAMESPACE = process.getuid?.() === 0 ? ["--mount"] : ["--mount", "--map-current-user", "--keep-caps"];

/** Whether this machine lets a test mount a disk of its own. */
export function findSmallDisks(): string | Missing {
  const unshare = Bun.which("unshare");
  if (!unshare) return { missing: "no unshare is on PATH (util-linux, on Linux only)" };
  const tried = Bun.spawnSync([unshare, ...NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], {
    stderr: "pipe",
  });
  if (tried.exitCode === 0) return unshare;
  return { missing: `this system lets nobody mount a disk for a test (${tried.stderr.toString().trim()})` };
}

/** Disks of these sizes, in one namespace of mounts that lives as long as `stack`. */
export async function openSmallDisks(stack: AsyncDisposableStack, sizesMb: number[]): Promise<SmallDisk[]> {
  const paths: string[] = [];
  for (const _ of sizesMb) {
    const dir = await tempDir("disk");
    stack.defer(dir.remove);
    paths.push(dir.path);
  }
  const mounts = paths.map((path, index) => `mount -t tmpfs -o size=${sizesMb[index]}m tmpfs ${path}`);
  const keeper: Child = startChild("the disks' keeper", [
    ...["unshare", ...NAMESPACE, "sh", "-c", `${mounts.join(" && ")} && echo mounted && exec sleep infinity`],
  ]);
  stack.defer(keeper.kill);
  await until(() => keeper.output().includes("mounted"), {
    deadlineMs: MOUNT_DEADLINE_MS,
    what: "the disks are mounted",
  });
  const inside = [
    ...["nsenter", "--target", String(keeper.pid), "--mount"],
    ...(process.getuid?.() === 0 ? [] : ["--user", "--preserve-credentials"]),
  ];
  return Promise.all(
    paths.map(async (path) => {
      const seenHere = `/proc/${keeper.pid}/root${path}`;
      await giveToPostgres(seenHere);
      const ballast = join(seenHere, BALLAST);
      return { path, inside, fill: () => writeUntilFull(ballast), free: () => rm(ballast, { force: true }) };
    }),
  );
}

async function writeUntilFull(path: string): Promise<void> {
  const file = await open(path, "a");
  try {
    for (let size = BLOCK_BYTES; size >= 1; ) {
      try {
        await file.write(Buffer.alloc(size));
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
        size = Math.floor(size / 16);
      }
    }
  } finally {
    await file.close();
  }
}
