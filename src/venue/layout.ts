/** A price of an event, in the currency's minor unit. */
export interface PriceTier {
  name: string;
  amountMinor: number;
}

/** A row of an assigned section, counted from the stage backwards. Its seats are adjacent. */
export interface RowLayout {
  label: string;
  seatCount: number;
}

/** An area whose seats differ from the section's. Rows and seats are positions from 0; both ends are included. */
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
  /** `perRow`: numbers restart in each row; otherwise they continue through the section. */
  numbering: { perRow: boolean; start: number; step: number; prefix: string };
  /** Index into the event's price tiers. */
  priceTier: number;
  areas: AreaLayout[];
  /** The position of the middle of the first row, and the distances between seats and rows. */
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

/** A compact description of a section's seats. The seat rows in the database are created from it and never change. */
export type SectionLayout = AssignedLayout | GeneralLayout;

/** One seat as described by the layout. */
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
/** Limits the tiers so that a seat's tier and flags fit into one byte. */
export const PRICE_TIER_LIMIT = TIER_MASK + 1;
/** The number of different combinations of tier and flags. */
export const TRAITS_LIMIT = 256;

/**
 * A layout prepared for queries. Seats are addressed by their index from 0, row by row. It uses one byte per
 * seat and four per row.
 */
export class Seating {
  readonly seatCount: number;
  /** Index of the first seat of each row, followed by the seat count. General admission has one row. */
  readonly rowStarts: Uint32Array;
  /** Indices of the accessible seats; four bytes each. */
  readonly accessibleSeats: Uint32Array;
  private readonly traits: Uint8Array;
  /** The distinct traits of its seats. */
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

  /** Returns everything that the layout says about one seat. */
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

  /** Returns the x coordinate of a seat. Rows are centred on the section's `x`. */
  xOf(index: number, row: number): number {
    if (this.layout.kind === "general") return 0;
    const start = this.startOf(row);
    const middle = (this.startOf(row + 1) - start - 1) / 2;
    return this.layout.x + (index - start - middle) * this.layout.seatSpacing;
  }

  yOf(row: number): number {
    return this.layout.kind === "general" ? 0 : this.layout.y + row * this.layout.rowSpacing;
  }

  /** Returns the index of the seat of a row that is nearest to `x`. */
  nearestTo(x: number, row: number): number {
    const start = this.startOf(row);
    const last = this.startOf(row + 1) - 1;
    if (this.layout.kind === "general" || this.layout.seatSpacing === 0) return start;
    const place = Math.round((x - this.xOf(start, row)) / this.layout.seatSpacing);
    return Math.min(Math.max(start + place, start), last);
  }

  /** Returns the index of a row's first seat; after the last row, the seat count. */
  startOf(row: number): number {
    return this.rowStarts[row] ?? 0;
  }

  /** Returns tier and flags in one byte, so that a search judges each kind of seat once. */
  traitsOf(index: number): number {
    return this.traits[index] ?? 0;
  }

  /** Returns whether any seat has matching traits. */
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
