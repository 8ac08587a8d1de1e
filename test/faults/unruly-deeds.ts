/** What becomes of a thread that is to take the first of these seats, the second, and so on. */
export const DEEDS = ["throws", "exits", "exits after the commit", "spins"] as const;
export const POISONED_SEATS_OF_EACH_DEED = 100;

export type Deed = (typeof DEEDS)[number];
