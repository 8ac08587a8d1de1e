/** Keeps the best few of the seats offered to it: fewest flaws first, then nearest. */
export class NearestSeats {
  private readonly kept: number[] = [];
  private readonly flaws: number[] = [];
  private readonly distances: number[] = [];

  constructor(private readonly limit: number) {}

  get isFull(): boolean {
    return this.kept.length === this.limit;
  }

  /** Returns whether no seat at this distance or farther can get in. */
  outdoes(distance: number): boolean {
    return this.isFull && this.flaws.at(-1) === 0 && distance >= (this.distances.at(-1) ?? 0);
  }

  /**
   * Adds a seat if it is good enough. Among equals, the earlier one stays; a seat offered twice counts at its
   * best.
   */
  offer(seatId: number, flaws: number, distance: number): void {
    if (this.isFull && !this.comesBefore(flaws, distance, this.limit - 1)) return;
    const known = this.kept.indexOf(seatId);
    if (known >= 0) {
      if (!this.comesBefore(flaws, distance, known)) return;
      for (const column of [this.kept, this.flaws, this.distances]) column.splice(known, 1);
    }
    let place = Math.min(this.kept.length, this.limit - 1);
    for (; place > 0 && this.comesBefore(flaws, distance, place - 1); place--) this.copy(place - 1, place);
    this.kept[place] = seatId;
    this.flaws[place] = flaws;
    this.distances[place] = distance;
  }

  offerAll(others: NearestSeats): void {
    for (const [place, seatId] of others.kept.entries())
      this.offer(seatId, others.flaws[place] ?? 0, others.distances[place] ?? 0);
  }

  isBetterThan(others: NearestSeats): boolean {
    const difference = sum(this.flaws) - sum(others.flaws);
    return difference < 0 || (difference === 0 && sum(this.distances) < sum(others.distances));
  }

  /** Returns the seats, best first. */
  toArray(): number[] {
    return [...this.kept];
  }

  /** Returns the seat ids in ascending order. */
  seatIds(): number[] {
    return this.kept.toSorted((a, b) => a - b);
  }

  private comesBefore(flaws: number, distance: number, place: number): boolean {
    const against = this.flaws[place] ?? 0;
    return flaws < against || (flaws === against && distance < (this.distances[place] ?? 0));
  }

  private copy(from: number, to: number): void {
    this.kept[to] = this.kept[from] ?? 0;
    this.flaws[to] = this.flaws[from] ?? 0;
    this.distances[to] = this.distances[from] ?? 0;
  }
}

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
