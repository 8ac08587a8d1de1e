import type { Logger } from "../telemetry/log.ts";

/**
 * What was opened, with its close: each close is handed over on the line after the open, and all run in
 * reverse order, so that nothing is closed before what uses it.
 */
export class Lifecycle {
  private readonly closes: { name: string; close: () => unknown }[] = [];

  onClose(name: string, close: () => unknown): void {
    this.closes.push({ name, close });
  }

  /** Closes everything; one that fails is logged and does not keep the others open. */
  async close(log?: Logger): Promise<void> {
    for (let entry = this.closes.pop(); entry; entry = this.closes.pop()) {
      try {
        await entry.close();
        log?.debug(`closed ${entry.name}`);
      } catch (error) {
        log?.error(
          { error: error instanceof Error ? error.message : String(error) },
          `could not close ${entry.name}`,
        );
      }
    }
  }
}
