/** A price of an event, in the currency's minor unit. */
export interface PriceTier {
  name: string;
  amountMinor: number;
}

/** A row of an assigned section, from the stage backwards; its seats stand side by side. */
export interface RowLayout {
  label: string;
  seatCount: number;
}

/** What differs from the section's own: rows and seats are positions counted from 0, both ends included. */
export interface AreaLayout {
  fromRow: number;
  toRow: number;
  fromSeat: number;
  toSeat: number;
  priceTier?: number;
  accessible?: boolean;
  restrictedView?: boolean;
}

/** Assigned seating: numbered seats in rows. */
export interface AssignedLayout {
  kind: "assigned";
  rows: RowLayout[];
  /** `perRow`: numbers begin anew in each row; else they run on through the section. */
  numbering: { perRow: boolean; start: number; step: number; prefix: string };
  /** Index into the event's price tiers. */
  priceTier: number;
  areas: AreaLayout[];
  /** Where the middle of the first row stands, and how far apart seats and rows are. */
  x: number;
  y: number;
  seatSpacing: number;
  rowSpacing: number;
}

/** General admission: places without row or number. */
interface GeneralLayout {
  kind: "general";
  capacity: number;
  priceTier: number;
}

/** A section's seats, described compactly; the seats' rows in the database are made from it and never change. */
export type SectionLayout = AssignedLayout | GeneralLayout;

/** One seat as the layout describes it. */
export interface SeatPlace {
  rowLabel: string | null;
  seatNumber: string | null;
  priceTier: number;
  accessible: boolean;
  restrictedView: boolean;
  /** Null in general admission. */
  x: number | null;
  y: number | null;
}

export const TIER_MASK = 0b111111;
export const ACCESSIBLE_BIT = 0b1000000;
export const RESTRICTED_VIEW_BIT = 0b10000000;
/** So that a seat's tier and flags fit into one byte. */
export const PRICE_TIER_LIMIT = TIER_MASK + 1;
/** How many different seats there can be, by tier and flags. */
export const TRAITS_LIMIT = 256;

/**
 * A layout to ask questions of. Seats are known by their index from 0, row by row; a byte a seat and four a
 * row in memory.
 */
export class Seating {
  readonly seatCount: number;
  /** Index of the first seat of each row, and the seat count behind the last; one row in general admission. */
  readonly rowStarts: Uint32Array;
  /** Indices of the accessible seats; four bytes for each. */
  readonly accessibleSeats: Uint32Array;
  private readonly traits: Uint8Array;
  /** The different traits of its seats. */
  private readonly kinds: readonly number[];

  constructor(readonly layout: SectionLayout) {
    const counts = layout.kind === "general" ? [layout.capacity] : layout.rows.map((row) => row.seatCount);
    this.rowStarts = new Uint32Array(counts.length + 1);
    for (const [row, count] of counts.entries()) this.rowStarts[row + 1] = this.startOf(row) + count;
    this.seatCount = this.startOf(counts.length);
    this.traits = new Uint8Array(this.seatCount).fill(layout.priceTier);
    if (layout.kind === "assigned") for (const area of layout.areas) this.apply(area);
    this.kinds = [...new Set(this.traits)];
    this.accessibleSeats = Uint32Array.from(this.traits.keys().filter((index) => this.isAccessible(index)));
  }

  get rowCount(): number {
    return this.rowStarts.length - 1;
  }

  rowOf(index: number): number {
    let low = 0;
    let high = this.rowCount - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.startOf(middle) <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Index into the event's price tiers. */
  priceTierOf(index: number): number {
    return this.traitsOf(index) & TIER_MASK;
  }

  isAccessible(index: number): boolean {
    return (this.traitsOf(index) & ACCESSIBLE_BIT) !== 0;
  }

  hasRestrictedView(index: number): boolean {
    return (this.traitsOf(index) & RESTRICTED_VIEW_BIT) !== 0;
  }

  /** Everything of one seat. */
  placeOf(index: number): SeatPlace {
    const { layout } = this;
    const traits = {
      priceTier: this.priceTierOf(index),
      accessible: this.isAccessible(index),
      restrictedView: this.hasRestrictedView(index),
    };
    if (layout.kind === "general") return { rowLabel: null, seatNumber: null, ...traits, x: null, y: null };
    const row = this.rowOf(index);
    const { perRow, start, step, prefix } = layout.numbering;
    const place = perRow ? index - this.startOf(row) : index;
    return {
      rowLabel: layout.rows[row]?.label ?? null,
      seatNumber: `${prefix}${start + place * step}`,
      ...traits,
      x: this.xOf(index, row),
      y: this.yOf(row),
    };
  }

  /** Rows are centred on the section's `x`. */
  xOf(index: number, row: number): number {
    if (this.layout.kind === "general") return 0;
    const start = this.startOf(row);
    const middle = (this.startOf(row + 1) - start - 1) / 2;
    return this.layout.x + (index - start - middle) * this.layout.seatSpacing;
  }

  yOf(row: number): number {
    return this.layout.kind === "general" ? 0 : this.layout.y + row * this.layout.rowSpacing;
  }

  /** Index of the seat of a row that stands nearest to `x`. */
  nearestTo(x: number, row: number): number {
    const start = this.startOf(row);
    const last = this.startOf(row + 1) - 1;
    if (this.layout.kind === "general" || this.layout.seatSpacing === 0) return start;
    const place = Math.round((x - this.xOf(start, row)) / this.layout.seatSpacing);
    return Math.min(Math.max(start + place, start), last);
  }

  /** Index of the first seat of a row; behind the last row, the seat count. */
  startOf(row: number): number {
    return this.rowStarts[row] ?? 0;
  }

  /** Tier and flags in one byte, so that a search judges each kind of seat once. */
  traitsOf(index: number): number {
    return this.traits[index] ?? 0;
  }

  /** Whether some seat has such traits. */
  hasAnyOf(isWanted: (traits: number) => boolean): boolean {
    return this.kinds.some(isWanted);
  }

  private apply(area: AreaLayout): void {
    for (let row = area.fromRow; row <= Math.min(area.toRow, this.rowCount - 1); row++) {
      const end = Math.min(this.startOf(row) + area.toSeat, this.startOf(row + 1) - 1);
      for (let index = this.startOf(row) + area.fromSeat; index <= end; index++) {
        let traits = this.traitsOf(index);
        if (area.priceTier !== undefined) traits = (traits & ~TIER_MASK) | area.priceTier;
        if (area.accessible !== undefined)
          traits = (traits & ~ACCESSIBLE_BIT) | (area.accessible ? ACCESSIBLE_BIT : 0);
        if (area.restrictedView !== undefined)
          traits = (traits & ~RESTRICTED_VIEW_BIT) | (area.restrictedView ? RESTRICTED_VIEW_BIT : 0);
        this.traits[index] = traits;
      }
    }
  }
}
