/** Seats that a search would take together: side by side, or in two such parts. */
export class SeatGroup {
  /** What speaks against it, counted before the distance. */
  flaws = Number.POSITIVE_INFINITY;
  /** The sum over its seats of the squared distance from the focal point. */
  distance = Number.POSITIVE_INFINITY;
  private first = 0;
  private count = 0;
  private otherFirst = 0;
  private otherCount = 0;

  get isFound(): boolean {
    return this.count > 0;
  }

  /** Whether nothing farther than this can be better. */
  outdoes(distance: number): boolean {
    return this.flaws === 0 && distance >= this.distance;
  }

  /** Becomes these seats, given by the first id and the count of each part, if they are better. */
  offer(flaws: number, distance: number, first: number, count: number, otherFirst = 0, otherCount = 0): void {
    if (flaws > this.flaws || (flaws === this.flaws && distance >= this.distance)) return;
    this.flaws = flaws;
    this.distance = distance;
    this.first = first;
    this.count = count;
    this.otherFirst = otherFirst;
    this.otherCount = otherCount;
  }

  /** Ascending; undefined when nothing was found. */
  seatIds(): number[] | undefined {
    if (!this.isFound) return undefined;
    const seatIds = Array.from({ length: this.count }, (_, place) => this.first + place);
    for (let place = 0; place < this.otherCount; place++) seatIds.push(this.otherFirst + place);
    return seatIds.sort((a, b) => a - b);
  }
}
