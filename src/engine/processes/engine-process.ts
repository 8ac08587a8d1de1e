import { never } from "../../runtime/assert.ts";
import { ENGINE_PROCESS, type Start, type ToPrimary, type ToProcess } from "./messages.ts";

/** The messages that an engine process sends to its primary after its start. */
export type Heard = Extract<ToPrimary, { kind: "metrics" | "scraped" }>;

export interface EngineProcessOptions {
  number: number;
  ports: Start["ports"];
  parts: Start["parts"];
  onHeard(heard: Heard, from: EngineProcess): void;
}

/** An engine process as its primary sees it. */
export class EngineProcess {
  /** Resolves when it listens. */
  readonly ready: Promise<void>;
  /** Resolves when it has ended. `code` is 0 only if everything it had accepted was answered. */
  readonly ended: Promise<{ code: number; how: string }>;
  readonly startedAt = performance.now();
  private listens = false;
  private readonly child: Bun.Subprocess<"ignore", "inherit", "inherit">;

  constructor(private readonly options: EngineProcessOptions) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ready = promise;
    // Handles a rejection that arrives when nobody waits any more.
    this.ready.catch(() => undefined);
    this.child = Bun.spawn(
      [process.execPath, ...process.execArgv, Bun.main, ENGINE_PROCESS, String(options.number)],
      {
        stdio: ["ignore", "inherit", "inherit"],
        ipc: (message: ToPrimary) => {
          switch (message.kind) {
            case "ready":
              this.listens = true;
              return resolve();
            case "failed":
              return reject(new Error(message.message));
            case "metrics":
            case "scraped":
              return options.onHeard(message, this);
            default:
              never(message, "message of an engine process");
          }
        },
      },
    );
    this.ended = this.child.exited.then((code) => {
      const { signalCode } = this.child;
      const how = signalCode === null ? `exit code ${code}` : String(signalCode);
      this.listens = false;
      reject(new Error(`engine process ${this.number} ended before it was ready (${how})`));
      return { code, how };
    });
    this.send({ kind: "start", number: options.number, ports: options.ports, parts: options.parts });
  }

  get number(): number {
    return this.options.number;
  }

  get pid(): number {
    return this.child.pid;
  }

  /** Whether it listens now. */
  get isReady(): boolean {
    return this.listens;
  }

  /** Sends a message. It is lost if the process has just ended. */
  send(message: ToProcess): void {
    try {
      this.child.send(message);
    } catch {
      // The channel closes a moment before `ended` resolves.
    }
  }

  /** Tells it to sell for the delay, finish what it has accepted, and end. */
  end(delayMs: number): void {
    this.send({ kind: "end", delayMs });
  }

  kill(): void {
    this.child.kill("SIGKILL");
  }
}
