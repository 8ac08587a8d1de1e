import { residentBytes } from "./cpu.ts";
import type { RateSample } from "./generator/task.ts";
import type { Server } from "./servers.ts";

const SAMPLE_MS = 250;

/**
 * Observes a server under load from outside: its ledger's sequence shows the rate. (Its metrics would too,
 * but each reading takes 5 ms of its main thread.)
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

  /** Memory in bytes, one value per reading. */
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
