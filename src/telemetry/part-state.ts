/**
 * Whether a part outside the engine does its work. Unknown until the engine has tried it for the first time; afterwards
 * the last result stands.
 */
export type PartState = "unknown" | "up" | "down";

/** The parts that are configured. */
export interface PartStates {
  db: PartState;
  redis?: PartState;
  kafka?: PartState;
  /** The file that takes the events where there is no Kafka. */
  events?: PartState;
}
