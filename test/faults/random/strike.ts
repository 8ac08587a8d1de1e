import { connect as connectTo } from "node:net";
import type { ToxicLink } from "../../fixtures/toxiproxy.ts";
import type { Lane } from "./lane.ts";
import type { Fault, Plan, Trouble } from "./plan.ts";

const SLOWEST_MS = 80;
const LONGEST_CUT_BYTES = 600;

/** Does to the lane what the plan says, each at its time; all is well again when it resolves. */
export async function strike(lane: Lane, plan: Plan): Promise<void> {
  const healing = new Healing();
  const struck = await Promise.allSettled(
    plan.faults.map(async (fault) => {
      await Bun.sleep(fault.atMs);
      await begin(lane, fault, healing);
      await Bun.sleep(fault.forMs);
    }),
  );
  await healing.all();
  for (const result of struck) if (result.status === "rejected") throw result.reason;
}

/** What has to be done for all to be well, once each, whatever else is wrong with it. */
class Healing {
  private readonly cures = new Map<object, () => unknown>();

  need(of: object, cure: () => unknown): void {
    this.cures.set(of, cure);
  }

  /** @throws what went wrong, after all else is well. */
  async all(): Promise<void> {
    const cured = await Promise.allSettled([...this.cures.values()].map(async (cure) => cure()));
    for (const result of cured) if (result.status === "rejected") throw result.reason;
  }
}

async function begin(lane: Lane, fault: Fault, healing: Healing): Promise<void> {
  switch (fault.what) {
    case "link": {
      const machine = lane.machines[fault.engine];
      const link = fault.link === "kafka" ? lane.kafka?.link : machine?.[fault.link];
      if (!link) return;
      healing.need(link, link.heal);
      return bring(link, fault.trouble, fault.degree);
    }
    case "engine paused": {
      const { pid } = lane.machines[fault.engine]?.engine ?? {};
      if (pid === undefined) return;
      healing.need({}, () => signal(pid, "SIGCONT"));
      return signal(pid, "SIGSTOP");
    }
    case "engine killed":
      return lane.machines[fault.engine]?.kill();
    case "redis emptied":
      return emptied(lane.redis.url);
    case "redis paused": {
      const { redis } = lane;
      healing.need(redis, () => redis.resume());
      return redis.pause();
    }
    case "redis killed":
      await lane.redis.kill();
      return lane.replaceRedis();
    case "kafka paused":
      if (lane.kafka) healing.need(lane.kafka.broker, () => lane.kafka?.broker.resume());
      return lane.kafka?.broker.pause();
    case "backends ended":
      await lane.theatre.facts.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name like 'sentinel-%' and random() < $1`,
        [fault.share],
      );
      return;
    default:
      return fault satisfies never;
  }
}

async function bring(link: ToxicLink, trouble: Trouble, degree: number): Promise<void> {
  const add = async (...toxics: Promise<void>[]) => {
    // Another fault may have brought the same to the link already.
    await Promise.allSettled(toxics);
  };
  const lost = { timeout: 0 };
  const slow = { latency: Math.ceil(degree * SLOWEST_MS), jitter: 0 };
  switch (trouble) {
    case "down":
      return link.down();
    case "requests lost":
      return add(link.add("timeout", lost, { stream: "upstream" }));
    case "answers lost":
      return add(link.add("timeout", lost));
    case "silent":
      return add(link.add("timeout", lost), link.add("timeout", lost, { stream: "upstream" }));
    case "reset":
      return add(link.add("reset_peer", { timeout: Math.floor(degree * 50) }));
    case "cut short":
      return add(link.add("limit_data", { bytes: Math.ceil(degree * LONGEST_CUT_BYTES) }));
    case "slow":
      return add(link.add("latency", slow), link.add("latency", slow, { stream: "upstream" }));
    case "sliced":
      return add(
        link.add("slicer", { average_size: 40, size_variation: 20, delay: Math.ceil(degree * 2000) }),
      );
    default:
      return trouble satisfies never;
  }
}

function signal(pid: number, name: "SIGSTOP" | "SIGCONT"): void {
  try {
    process.kill(pid, name);
  } catch {
    // It was killed meanwhile.
  }
}

async function emptied(url: string): Promise<void> {
  const { hostname, port } = new URL(url);
  await new Promise<void>((resolve) => {
    const end = () => {
      resolve();
      socket.end();
    };
    const socket = connectTo(Number(port), hostname, () => socket.write("FLUSHALL\r\n"));
    socket.once("data", end).once("error", end).setTimeout(500, end);
  });
}
