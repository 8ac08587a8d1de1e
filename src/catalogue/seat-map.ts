import type { CatalogueEvent } from "../venue/catalogue.ts";

const BITS_PER_SEAT = 2;
const SEATS_PER_BYTE = 8 / BITS_PER_SEAT;
const STATUS_MASK = 0b11;

/** The place of a section's seats in the bytes of a map. */
export interface SectionPlace {
  sectionId: number;
  name: string;
  firstSeatId: number;
  seatCount: number;
  /** The index of its first byte. */
  offset: number;
}

/** Places the sections of an event one after the other. Each begins with a byte of its own. */
export function placesOf(event: CatalogueEvent): { places: SectionPlace[]; byteCount: number } {
  let byteCount = 0;
  const places = event.sections.map(({ id, name, firstSeatId, seatCount }) => {
    const place = { sectionId: id, name, firstSeatId, seatCount, offset: byteCount };
    byteCount += Math.ceil(seatCount / SEATS_PER_BYTE);
    return place;
  });
  return { places, byteCount };
}

/** The number of a section's seats in each state. */
export interface Availability {
  unknown: number;
  available: number;
  held: number;
  reserved: number;
}

/**
 * Counts with a histogram of the bytes, which takes 0.3 ms instead of 1.8 for 100,000 seats. The bits after the last
 * seat are 0.
 */
function countSeats(bytes: Uint8Array, { offset, seatCount }: SectionPlace): Availability {
  const timesOf = new Uint32Array(256);
  for (const byte of bytes.subarray(offset, offset + Math.ceil(seatCount / SEATS_PER_BYTE))) {
    timesOf[byte] = (timesOf[byte] ?? 0) + 1;
  }
  const counts = new Uint32Array(STATUS_MASK + 1);
  for (const [byte, times] of timesOf.entries()) {
    for (let shift = 0; shift < 8; shift += BITS_PER_SEAT) {
      const code = (byte >> shift) & STATUS_MASK;
      counts[code] = (counts[code] ?? 0) + times;
    }
  }
  const [, available = 0, held = 0, reserved = 0] = counts;
  return { unknown: seatCount - available - held - reserved, available, held, reserved };
}

const FOUR_AVAILABLE = 0b01010101;

/** Sets all seats of a section to available. */
export function fillAvailable(bytes: Uint8Array, { offset, seatCount }: SectionPlace): void {
  const rest = seatCount % SEATS_PER_BYTE;
  bytes.fill(FOUR_AVAILABLE, offset, offset + (seatCount - rest) / SEATS_PER_BYTE);
  for (let index = seatCount - rest; index < seatCount; index++) setStatus(bytes, offset, index, 1);
}

/** Sets the status of one seat, by its index in the section. */
export function setStatus(bytes: Uint8Array, offset: number, index: number, code: number): void {
  const place = offset + Math.floor(index / SEATS_PER_BYTE);
  const shift = (index % SEATS_PER_BYTE) * BITS_PER_SEAT;
  bytes[place] = ((bytes[place] ?? 0) & ~(STATUS_MASK << shift)) | ((code & STATUS_MASK) << shift);
}

type Form = "json" | "binary";

/** The quickest level of gzip. Level 6 takes twice the time and saves only a tenth. */
const GZIP_LEVEL = 1;

/** A map that never changes, in the forms that clients ask for. Each form is made once, on request. */
export class SeatMap {
  private readonly hash: string;
  private readonly bodies = new Map<string, Uint8Array<ArrayBuffer>>();
  private counts: Availability[] | undefined;

  constructor(
    private readonly eventId: number,
    private readonly places: SectionPlace[],
    readonly bytes: Uint8Array<ArrayBuffer>,
    private readonly generatedAtMs: number,
  ) {
    this.hash = Bun.hash(bytes, BigInt(generatedAtMs)).toString(36);
  }

  /** The counts of each section, in the order of the sections. */
  get availability(): Availability[] {
    this.counts ??= this.places.map((place) => countSeats(this.bytes, place));
    return this.counts;
  }

  /** Returns a tag that differs if any byte of the body differs. */
  etag(form: Form, isGzipped: boolean): string {
    return `"${this.hash}-${form}${isGzipped ? "-gzip" : ""}"`;
  }

  body(form: Form, isGzipped: boolean): Uint8Array<ArrayBuffer> {
    const key = this.etag(form, isGzipped);
    let body = this.bodies.get(key);
    if (!body) {
      if (isGzipped) body = Bun.gzipSync(this.body(form, false), { level: GZIP_LEVEL });
      else body = form === "binary" ? this.bytes : new TextEncoder().encode(this.json());
      this.bodies.set(key, body);
    }
    return body;
  }

  private json(): string {
    return JSON.stringify({
      eventId: this.eventId,
      generatedAt: new Date(this.generatedAtMs).toISOString(),
      sections: this.places,
      encoding: "2bit-le",
      data: Buffer.from(this.bytes.buffer).toString("base64"),
    });
  }
}
