import { SharedFlight } from "../../runtime/shared-flight.ts";
import {
  countersOf,
  mergedText,
  mergeMetrics,
  type ProcessMetrics,
  withProcessLabel,
} from "../../telemetry/merged-metrics.ts";

/** How long a round waits for a process that hangs. It is well under the 4 s that Prometheus waits for a scrape. */
const ANSWER_TIMEOUT_MS = 500;

/** A process that is asked for its metrics; `number` identifies it in metrics that are reported per process. */
export interface Asked {
  number: number;
  send(message: { kind: "metrics-wanted" }): void;
}

interface LastSample {
  /** The newest metrics that it sent. */
  last: ProcessMetrics;
  /** Whether a question is unanswered. A process that hangs is not asked again. */
  isAsked: boolean;
  onAnswer: (() => void) | undefined;
}

/**
 * Merges the metrics of all processes for each scrape. Counters never decrease: the last known counters of a
 * process that has ended or is late are still added. Its gauges are not.
 */
export class MetricsRound {
  private readonly samples = new Map<Asked, LastSample>();
  /** The counters of processes that have ended. */
  private ofEnded: ProcessMetrics[] = [];
  private readonly rounds = new SharedFlight(() => this.round());

  /** @param readPrimary reads the metrics of this process, which is not one of the processes that are asked */
  constructor(
    private readonly readPrimary: () => Promise<ProcessMetrics>,
    private readonly answerTimeoutMs = ANSWER_TIMEOUT_MS,
  ) {}

  joined(asked: Asked): void {
    this.samples.set(asked, { last: [], isAsked: false, onAnswer: undefined });
  }

  /** @param metrics null if the process could not read them; it is left out of this round and asked in the next */
  heard(asked: Asked, metrics: ProcessMetrics | null): void {
    const sample = this.samples.get(asked);
    if (!sample) return;
    sample.isAsked = false;
    if (!metrics) return;
    sample.last = metrics;
    sample.onAnswer?.();
  }

  left(asked: Asked): void {
    const sample = this.samples.get(asked);
    if (!sample) return;
    this.samples.delete(asked);
    this.ofEnded.push(countersOf(sample.last));
    sample.onAnswer?.();
  }

  /**
   * Returns the merged metrics of a round that began after the call, in Prometheus's text format. All
   * concurrent callers share the running round or the next one.
   */
  read(): Promise<string> {
    return this.rounds.next();
  }

  private async round(): Promise<string> {
    const answered = new Set<Asked>();
    const [primary] = await Promise.all([
      this.readPrimary(),
      this.foldEnded(),
      ...[...this.samples].map(async ([asked, sample]) => {
        if (await this.ask(asked, sample)) answered.add(asked);
      }),
    ]);
    // Computed in one turn: a process that answered and has ended since is counted only among the ended.
    const metrics = [...this.samples].map(([asked, { last }]) =>
      answered.has(asked) ? withProcessLabel(last, String(asked.number)) : countersOf(last),
    );
    return mergedText([...this.ofEnded, ...metrics, withProcessLabel(primary, "primary")]);
  }

  /** @returns whether it answered in time */
  private ask(asked: Asked, sample: LastSample): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), this.answerTimeoutMs);
      sample.onAnswer = () => {
        clearTimeout(timer);
        resolve(true);
      };
      if (sample.isAsked) return;
      sample.isAsked = true;
      asked.send({ kind: "metrics-wanted" });
    });
  }

  /** Merges the counters of ended processes, so that they take the space of one. */
  private async foldEnded(): Promise<void> {
    const { length } = this.ofEnded;
    if (length < 2) return;
    const folded = await mergeMetrics(this.ofEnded.slice(0, length));
    this.ofEnded.splice(0, length, folded);
  }
}
