/** Answers a batch at once, so that only the way to the thread and back is measured. */
export default ({ seatIds }: { seatIds: number[] }) => ({
  seats: seatIds.map(() => ({ verdict: "won", version: 1, final: true })),
});
