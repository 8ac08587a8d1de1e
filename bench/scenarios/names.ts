/** In the order in which they run; a file of this folder each. */
export const SCENARIO_NAMES = [
  "accepted",
  "refused",
  "one-seat",
  "half-peak",
  "idle",
  "sale",
  "holds",
  "start",
  "size",
  "processes",
  "overload",
  "soak",
] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];
