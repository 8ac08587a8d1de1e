import { type Mutant, namedWithoutFunction, type RoomResult, type TestedMutant } from "./mutants.ts";

const TEXT_LIMIT = 90;

const isCaught = ({ status }: TestedMutant) => status === "killed" || status === "timeout";
const percent = (part: number, whole: number) => (whole === 0 ? "-" : ((100 * part) / whole).toFixed(1));
const short = (text: string) => (text.length > TEXT_LIMIT ? `${text.slice(0, TEXT_LIMIT)}…` : text);

const HEADINGS = ["room", "of", "mutants", "killed", "timeout", "survived", "uncovered", "score %"];

/** One line per room and one for all; an uncovered mutant counts as a survivor. */
export function scoreTable(rooms: readonly RoomResult[]): string {
  const all = { room: "all", total: 0, mutants: rooms.flatMap(({ mutants }) => mutants) };
  for (const { total } of rooms) all.total += total;
  const rows = [...rooms, all].map(({ room, total, mutants }) => {
    const count = (status: string) => String(mutants.filter((mutant) => mutant.status === status).length);
    const score = percent(mutants.filter(isCaught).length, mutants.length);
    const counts = ["killed", "timeout", "survived", "uncovered"].map(count);
    return [room, String(total), String(mutants.length), ...counts, score];
  });
  return [HEADINGS, ...rows]
    .map((row) => row.map((cell, index) => (index === 0 ? cell.padEnd(14) : cell.padStart(10))).join(""))
    .join("\n");
}

const told = ({ file, line, functionName, operator, original, replacement }: Mutant) =>
  `  ${file}:${line} ${functionName} ${operator}\n    ${short(original)}\n    → ${short(replacement)}`;

export function survivorList(rooms: readonly RoomResult[]): string {
  return rooms
    .map(({ room, mutants }) => {
      const survivors = mutants.filter((mutant) => !isCaught(mutant));
      const lines = survivors.map(
        (mutant) => `${told(mutant)}${mutant.status === "uncovered" ? "   (no test reaches it)" : ""}`,
      );
      return [`${room}: ${survivors.length} survivors`, ...lines].join("\n");
    })
    .join("\n\n");
}

/** Both tables, and each mutant that was caught before and survives now. `lost` is how many. */
export function comparison(before: RoomResult[], after: RoomResult[]): { text: string; lost: number } {
  const old = before.flatMap(({ mutants }) => mutants);
  const now = after.flatMap(({ mutants }) => mutants);
  const pairs = paired(old, now);
  const lost = pairs.filter(([one, other]) => isCaught(one) && !isCaught(other));
  const won = pairs.filter(([one, other]) => !isCaught(one) && isCaught(other));
  const text = [
    `before\n${scoreTable(before)}`,
    `after\n${scoreTable(after)}`,
    `${pairs.length} mutants are in both; ${lost.length} of them were caught and survive now, ${won.length} survived and are caught now`,
    ...lost.map(([, other]) => told(other)),
  ].join("\n\n");
  return { text, lost: lost.length };
}

/** By name; what is left by its text alone, for functions that were renamed. */
function paired(before: TestedMutant[], after: TestedMutant[]): [TestedMutant, TestedMutant][] {
  const old = new Map(before.map((mutant) => [mutant.name, mutant]));
  const same = after.flatMap((mutant): [TestedMutant, TestedMutant][] => {
    const match = old.get(mutant.name);
    return match ? [[match, mutant]] : [];
  });
  const matched = new Set(same.flat());
  const leftBefore = namedWithoutFunction(before.filter((mutant) => !matched.has(mutant)));
  const leftAfter = namedWithoutFunction(after.filter((mutant) => !matched.has(mutant)));
  const renamed = [...leftAfter].flatMap(([name, mutant]): [TestedMutant, TestedMutant][] => {
    const match = leftBefore.get(name);
    return match ? [[match, mutant]] : [];
  });
  return [...same, ...renamed];
}
