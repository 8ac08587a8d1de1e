import { residentBytes } from "./cpu.ts";
import type { RateSample } from "./generator/task.ts";
import type { Server } from "./servers.ts";

const SAMPLE_MS = 250;

/**
 * Looks at a server while it is under load, from outside: its ledger's sequence tells the rate. (Its metrics
 * would too, at 5 ms of its main thread a look.)
 */
export class Sampler {
  private readonly samples: RateSample[] = [];
  private readonly residents: number[] = [];
  private readonly startedAt = performance.now();
  private running: Promise<void>;
  private stopping = false;

  private constructor(
    private readonly server: Server,
    position: number,
  ) {
    this.running = this.watch(position);
  }

  static async start(server: Server): Promise<Sampler> {
    return new Sampler(server, (await server.sale?.database.ledgerPosition()) ?? 0);
  }

  /** Memory in bytes, look by look. */
  async stop(): Promise<{ samples: RateSample[]; residents: number[] }> {
    this.stopping = true;
    await this.running;
    return { samples: this.samples, residents: this.residents };
  }

  private async watch(position: number): Promise<void> {
    let before = { position, at: this.startedAt };
    while (!this.stopping) {
      await Bun.sleep(SAMPLE_MS);
      this.residents.push(residentBytes(this.server.pid));
      const { sale } = this.server;
      if (!sale) continue;
      const now = { position: await sale.database.ledgerPosition(), at: performance.now() };
      this.samples.push({
        atSeconds: (now.at - this.startedAt) / 1000,
        acceptedPerSecond: ((now.position - before.position) * 1000) / (now.at - before.at),
        refusedPerSecond: 0,
      });
      before = now;
    }
  }
}
