import type { Asked, Operation } from "../../spec/history.ts";
import type { Plan, Step } from "./plan.ts";
import { ask } from "./requests.ts";

/** Times that a client sends a hold again, with its key, when it heard nothing or 503. */
const RETRY_LIMIT = 2;

/** The clients of one seed: what they ask, and what they are told. */
export class Clients {
  readonly operations: Operation[] = [];
  private readonly told = new Map<object, string[]>();
  private keyCount = 0;

  /** @param urlOf of an engine, as its clients reach it. */
  constructor(
    private readonly plan: Plan,
    private readonly seatIds: number[],
    private readonly urlOf: (engine: number) => string,
    private readonly headers: Record<string, string>,
  ) {}

  async play(part: "before" | "after"): Promise<void> {
    await Promise.all(
      this.plan.clients.map(async (client) => {
        for (const step of client[part]) {
          if (step.afterMs > 0) await Bun.sleep(step.afterMs);
          await this.take(client, step);
        }
      }),
    );
  }

  /** Asks, and notes it; by the clock that the engine's Postgres has too. */
  async ask(asked: Asked, engine: number, patienceMs: number): Promise<Operation> {
    const operation: Operation = {
      ...{ id: this.operations.length, asked, calledAtMs: Date.now() },
      ...{ returnedAtMs: Number.POSITIVE_INFINITY, answer: { kind: "unknown" } },
    };
    this.operations.push(operation);
    const answer = await ask(this.urlOf(engine), this.headers, asked, patienceMs);
    if (answer.kind !== "unknown") Object.assign(operation, { answer, returnedAtMs: Date.now() + 1 });
    return operation;
  }

  private async take(client: Plan["clients"][number], { what, engine, patienceMs }: Step): Promise<void> {
    const known = this.knownTo(client);
    const asked = this.askedBy(what, known);
    if (!asked) return;
    for (let attempt = 0; attempt <= RETRY_LIMIT; attempt++) {
      const { answer } = await this.ask(asked, (engine + attempt) % 2, patienceMs);
      if (answer.kind === "won" || (answer.kind === "held" && !known.includes(answer.reservationId)))
        known.push(answer.reservationId);
      const isDoubtful = answer.kind === "unknown" || answer.kind === "busy";
      if (!isDoubtful || asked.do !== "hold" || asked.key === null) return;
    }
  }

  private knownTo(client: Plan["clients"][number]): string[] {
    const circle = client.knowsOthers ? this : client;
    const known = this.told.get(circle) ?? [];
    this.told.set(circle, known);
    return known;
  }

  private askedBy(what: Step["what"], known: string[]): Asked | undefined {
    switch (what.do) {
      case "reserve":
      case "look":
        return { do: what.do, seatId: this.seatIds[what.place] ?? 0 };
      case "hold": {
        const seatIds = what.places.map((place) => this.seatIds[place] ?? 0);
        return { do: "hold", seatIds, key: this.newKey(what.hasKey) };
      }
      default: {
        const reservationId = known.at(-1 - what.nth) ?? known.at(-1);
        if (reservationId === undefined) return undefined;
        if (what.do === "show") return { do: "show", reservationId };
        return { do: what.do, reservationId, key: this.newKey(what.hasKey) };
      }
    }
  }

  private newKey(isWanted: boolean): string | null {
    return isWanted ? `seat-${this.seatIds[0]}-key-${++this.keyCount}` : null;
  }
}
