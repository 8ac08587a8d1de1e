import type { Logger } from "../telemetry/log.ts";

/**
 * Closes what was opened, in reverse order, so that nothing closes before its users. Register each close on
 * the line after the open.
 */
export class Lifecycle {
  private readonly closes: { name: string; close: () => unknown }[] = [];

  onClose(name: string, close: () => unknown): void {
    this.closes.push({ name, close });
  }

  /** Closes everything. A failing close is logged and does not stop the others. */
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
