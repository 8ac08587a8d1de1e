/** In the order in which they run, with one file each in this folder. */
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
