/**
 * Whether a part outside the engine works. Unknown until the engine has tried it for the first time;
 * afterwards the last result counts.
 */
export type PartState = "unknown" | "up" | "down";

/** The state of each configured part. */
export interface PartStates {
  db: PartState;
  redis?: PartState;
  kafka?: PartState;
  /** The file that receives the events if there is no Kafka. */
  events?: PartState;
}
