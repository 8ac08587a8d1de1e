/** The best group of seats offered so far: adjacent seats, or two parts of adjacent seats. */
export class SeatGroup {
  /** The sum of its flaws (see `FLAW`), compared before the distance. */
  flaws = Number.POSITIVE_INFINITY;
  /** The sum of the squared distances of its seats from the focal point. */
  distance = Number.POSITIVE_INFINITY;
  private first = 0;
  private count = 0;
  private otherFirst = 0;
  private otherCount = 0;

  get isFound(): boolean {
    return this.count > 0;
  }

  /** Returns whether no group at this distance can be better. */
  outdoes(distance: number): boolean {
    return distance >= this.distanceToBeat;
  }

  /** Groups at this distance or farther cannot be better, whatever their flaws. */
  get distanceToBeat(): number {
    return this.flaws === 0 ? this.distance : Number.POSITIVE_INFINITY;
  }

  /** Becomes these seats if they are better. Each part is given by its first id and its count. */
  offer(flaws: number, distance: number, first: number, count: number, otherFirst = 0, otherCount = 0): void {
    if (flaws > this.flaws || (flaws === this.flaws && distance >= this.distance)) return;
    this.flaws = flaws;
    this.distance = distance;
    this.first = first;
    this.count = count;
    this.otherFirst = otherFirst;
    this.otherCount = otherCount;
  }

  /** Returns the seat ids in ascending order, or undefined if nothing was found. */
  seatIds(): number[] | undefined {
    if (!this.isFound) return undefined;
    const seatIds = Array.from({ length: this.count }, (_, place) => this.first + place);
    for (let place = 0; place < this.otherCount; place++) seatIds.push(this.otherFirst + place);
    return seatIds.sort((a, b) => a - b);
  }
}
