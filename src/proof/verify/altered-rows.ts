/** How one row differs from what was sealed. */
export type Alteration =
  | { kind: "changed" | "added"; rowText: string }
  /** `after` is the row before its former place; undefined at the start. */
  | { kind: "deleted"; after: string | undefined };

/**
 * Finds where the rows differ from the sealed CRCs, in order. Between two matches, rows count as changed as
 * long as there are CRCs for them; the rest were added or deleted.
 */
export function alteredRows(sealed: number[], rowTexts: string[]): Alteration[] {
  const crcs = rowTexts.map((text) => Bun.hash.crc32(text));
  const places = new Map(crcs.map((crc, index) => [crc, index]));
  const alterations: Alteration[] = [];
  let row = 0;
  let seal = 0;
  const close = (untilSeal: number, untilRow: number) => {
    for (; seal < untilSeal && row < untilRow; seal++, row++)
      alterations.push({ kind: "changed", rowText: rowTexts[row] ?? "" });
    for (; seal < untilSeal; seal++) alterations.push({ kind: "deleted", after: rowTexts[row - 1] });
    for (; row < untilRow; row++) alterations.push({ kind: "added", rowText: rowTexts[row] ?? "" });
  };
  sealed.forEach((crc, index) => {
    const place = crcs[row + index - seal] === crc ? row + index - seal : places.get(crc);
    // A row that matches earlier in the list was moved down, so it is part of the difference.
    if (place === undefined || place < row) return;
    close(index, place);
    seal = index + 1;
    row = place + 1;
  });
  close(sealed.length, rowTexts.length);
  return alterations;
}
