/** How a purchase ended: what was bought, or why not and what is free instead. */
export type Sale =
  | { sold: boolean; seatIds: number[]; total: { amountMinor: number; currency: string } }
  | { sold: false; why: string[]; alternatives?: number[] };
