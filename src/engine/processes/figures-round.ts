import { SharedFlight } from "../../runtime/shared-flight.ts";
import {
  countersOf,
  type Figures,
  mergedText,
  mergeFigures,
  toldApart,
} from "../../telemetry/merged-figures.ts";

/** A process that hangs is left out after this: well within the 4 s that Prometheus waits for a scrape. */
const ANSWER_TIMEOUT_MS = 500;

/** A process that is asked for its figures; `number` tells apart what is told of each. */
export interface Asked {
  number: number;
  tell(message: { kind: "figures-wanted" }): void;
}

interface Standing {
  /** The newest figures that came. */
  last: Figures;
  /** The question is unanswered: a process that hangs is not asked a second time. */
  isAsked: boolean;
  onAnswer: (() => void) | undefined;
}

/**
 * The figures of all processes, put together for each scrape. A counter never goes back: of a process that
 * has ended, or does not answer in time, its last known counters go on being added; its gauges do not.
 */
export class FiguresRound {
  private readonly standings = new Map<Asked, Standing>();
  /** Counters of processes that have ended. */
  private ofEnded: Figures[] = [];
  private readonly rounds = new SharedFlight(() => this.round());

  /** @param readPrimary the figures of the process that asks, which is none of those who are asked. */
  constructor(
    private readonly readPrimary: () => Promise<Figures>,
    private readonly answerTimeoutMs = ANSWER_TIMEOUT_MS,
  ) {}

  joined(asked: Asked): void {
    this.standings.set(asked, { last: [], isAsked: false, onAnswer: undefined });
  }

  /** @param figures null where it could not read them: it is left out of this round and asked in the next. */
  heard(asked: Asked, figures: Figures | null): void {
    const standing = this.standings.get(asked);
    if (!standing) return;
    standing.isAsked = false;
    if (!figures) return;
    standing.last = figures;
    standing.onAnswer?.();
  }

  left(asked: Asked): void {
    const standing = this.standings.get(asked);
    if (!standing) return;
    this.standings.delete(asked);
    this.ofEnded.push(countersOf(standing.last));
    standing.onAnswer?.();
  }

  /**
   * In Prometheus's text format, of a round that began after the call. However many ask, one round runs and
   * one waits, which all of them share.
   */
  read(): Promise<string> {
    return this.rounds.next();
  }

  private async round(): Promise<string> {
    const answered = new Set<Asked>();
    const [primary] = await Promise.all([
      this.readPrimary(),
      this.foldEnded(),
      ...[...this.standings].map(async ([asked, standing]) => {
        if (await this.ask(asked, standing)) answered.add(asked);
      }),
    ]);
    // As things stand in this very turn: who answered and has ended since is among the ended, and nowhere else.
    const figures = [...this.standings].map(([asked, { last }]) =>
      answered.has(asked) ? toldApart(last, String(asked.number)) : countersOf(last),
    );
    return mergedText([...this.ofEnded, ...figures, toldApart(primary, "primary")]);
  }

  /** @returns whether it answered in time. */
  private ask(asked: Asked, standing: Standing): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), this.answerTimeoutMs);
      standing.onAnswer = () => {
        clearTimeout(timer);
        resolve(true);
      };
      if (standing.isAsked) return;
      standing.isAsked = true;
      asked.tell({ kind: "figures-wanted" });
    });
  }

  /** However many processes have ended, what is kept of them has the size of one. */
  private async foldEnded(): Promise<void> {
    const { length } = this.ofEnded;
    if (length < 2) return;
    const folded = await mergeFigures(this.ofEnded.slice(0, length));
    this.ofEnded.splice(0, length, folded);
  }
}
