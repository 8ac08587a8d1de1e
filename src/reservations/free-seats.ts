import type { Section } from "../catalogue/catalogue.ts";

/**
 * Asks the database which seats of a section are free, for requests whose memory knows of none: nobody is
 * told "sold out" by a memory that may be old. However many ask at once, one look is under way a section;
 * who comes meanwhile needs the next, since the first may have looked before.
 */
export class FreeSeats {
  private readonly looks = new Map<number, { current: Promise<void>; next: Promise<void> | undefined }>();

  /** @param look reads a section's free seats into memory; rejects when the database cannot be asked. */
  constructor(private readonly look: (section: Section) => Promise<void>) {}

  /** Resolves when memory has what the database said after this call. */
  refresh(section: Section): Promise<void> {
    const known = this.looks.get(section.id);
    if (!known) return this.begin(section);
    known.next ??= known.current.catch(() => undefined).then(() => this.begin(section));
    return known.next;
  }

  private begin(section: Section): Promise<void> {
    const current = this.look(section).finally(() => {
      if (this.looks.get(section.id)?.current === current && !this.looks.get(section.id)?.next)
        this.looks.delete(section.id);
    });
    this.looks.set(section.id, { current, next: undefined });
    return current;
  }
}
