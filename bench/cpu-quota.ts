import { access, constants, mkdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";

/** The path of the CPU controller in version 1 of cgroups on every distribution, and the root of version 2. */
const V1_ROOT = "/sys/fs/cgroup/cpu";
const V2_ROOT = "/sys/fs/cgroup";
const PERIOD_MICROSECONDS = 100_000;

/**
 * Two groups of processes that cannot take CPU time from each other: the load generator, and the servers
 * under load.
 */
export interface CpuQuotas {
  /** The report's sentence about the groups. */
  described: string;
  generator: CpuGroup;
  servers: CpuGroup;
}

export interface CpuGroup {
  cores: number;
  /** Moves processes, and the children they start later, into the group. */
  add(pids: number[]): Promise<void>;
}

/**
 * Gives the generator `generatorCores`, and the servers the rest of the machine.
 * @returns the groups, or why this system does not allow that.
 */
export async function openCpuQuotas(
  closes: AsyncDisposableStack,
  generatorCores: number,
): Promise<CpuQuotas | { unlimited: string }> {
  const serverCores = cpus().length - generatorCores;
  if (serverCores <= 0) return { unlimited: `${cpus().length} cores are too few to be divided` };
  const controller = await findController();
  if (!controller) return { unlimited: "cgroups are not writable here" };
  const open = async (name: string, cores: number): Promise<CpuGroup> => {
    const folder = join(controller.root, `sentinel-bench-${process.pid}-${name}`);
    await mkdir(folder);
    closes.defer(() => close(controller, folder));
    await controller.limit(folder, cores * PERIOD_MICROSECONDS);
    return { cores, add: (pids) => move(folder, pids) };
  };
  try {
    const generator = await open("generator", generatorCores);
    const servers = await open("servers", serverCores);
    const described = `CPU quotas by ${controller.name}: the load generator ${generatorCores}, the servers ${serverCores} cores`;
    return { described, generator, servers };
  } catch (error) {
    return { unlimited: `cgroups could not be set: ${error instanceof Error ? error.message : error}` };
  }
}

interface Controller {
  name: string;
  root: string;
  limit(folder: string, quotaMicroseconds: number): Promise<void>;
}

async function findController(): Promise<Controller | undefined> {
  if (await isWritable(join(V1_ROOT, "cgroup.procs")))
    return {
      name: "cgroup v1",
      root: V1_ROOT,
      limit: async (folder, quota) => {
        await writeFile(join(folder, "cpu.cfs_period_us"), String(PERIOD_MICROSECONDS));
        await writeFile(join(folder, "cpu.cfs_quota_us"), String(Math.round(quota)));
      },
    };
  const controllers = await readFile(join(V2_ROOT, "cgroup.subtree_control"), "utf8").catch(() => "");
  if (controllers.split(/\s/).includes("cpu") && (await isWritable(join(V2_ROOT, "cgroup.procs"))))
    return {
      name: "cgroup v2",
      root: V2_ROOT,
      limit: (folder, quota) =>
        writeFile(join(folder, "cpu.max"), `${Math.round(quota)} ${PERIOD_MICROSECONDS}`),
    };
  return undefined;
}

const isWritable = (path: string) =>
  access(path, constants.W_OK).then(
    () => true,
    () => false,
  );

/** Moves processes, ignoring those that have ended meanwhile. */
async function move(folder: string, pids: number[]): Promise<void> {
  for (const pid of pids) {
    await writeFile(join(folder, "cgroup.procs"), String(pid)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ESRCH") throw error;
    });
  }
}

/** Empties a group, which its removal requires, and removes it. */
async function close({ root }: Controller, folder: string): Promise<void> {
  const left = await readFile(join(folder, "cgroup.procs"), "utf8").catch(() => "");
  await move(root, left.split("\n").filter(Boolean).map(Number));
  await rmdir(folder).catch(() => undefined);
}
