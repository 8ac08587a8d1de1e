/** Seats with neighbouring ids share a page. */
const PAGE_SEATS = 4096;

/** The newest version seen of each seat, in 4 bytes per seat; a `Map` takes 50. */
export class SeenVersions {
  private readonly pages = new Map<number, Int32Array>();

  /** Returns 0 if none was seen. */
  get(seatId: number): number {
    return this.pages.get(Math.floor(seatId / PAGE_SEATS))?.[seatId % PAGE_SEATS] ?? 0;
  }

  set(seatId: number, version: number): void {
    const number = Math.floor(seatId / PAGE_SEATS);
    const page = this.pages.get(number) ?? new Int32Array(PAGE_SEATS);
    this.pages.set(number, page);
    page[seatId % PAGE_SEATS] = version;
  }
}
