import { z } from "zod";

/**
 * An advisory that does not keep CI from passing, for a reason and for a time. `id` is GitHub's (`GHSA-...`).
 * One that is over, or that no advisory is met by any more, fails CI until it is taken out.
 */
export const exceptionSchema = z.array(
  z.strictObject({
    id: z.string().regex(/^GHSA(-[a-z0-9]{4}){3}$/, "must be an id such as GHSA-xxxx-xxxx-xxxx"),
    reason: z.string().min(20, "must say in a sentence why it does not matter here"),
    until: z.iso.date("must be a date such as 2027-01-31"),
  }),
);
export type Exception = z.output<typeof exceptionSchema>[number];

/** What `bun audit --json` prints: for each package what is known against it. */
export const advisoriesSchema = z.record(
  z.string(),
  z.array(
    z.looseObject({
      url: z.string(),
      title: z.string(),
      severity: z.string(),
      vulnerable_versions: z.string(),
    }),
  ),
);

/** Exceptions whose last day is over, a line each; also where nobody tells what is known. @param today as `2026-11-22`. */
export const overdue = (exceptions: Exception[], today: string): string[] =>
  exceptions
    .filter(({ until }) => until < today)
    .map(({ id, until }) => `${id}: its exception was until ${until}: decide again`);

/** What CI must fail for, a line each. */
export function faultsOf(advisories: z.output<typeof advisoriesSchema>, exceptions: Exception[]): string[] {
  const known = Object.entries(advisories).flatMap(([name, list]) =>
    list.map((advisory) => ({ ...advisory, name, id: advisory.url.split("/").at(-1) ?? "" })),
  );
  const excepted = new Set(exceptions.map(({ id }) => id));
  return [
    ...known
      .filter(({ id }) => !excepted.has(id))
      .map(
        ({ name, id, severity, title, vulnerable_versions }) =>
          `${id}: ${name} ${vulnerable_versions} (${severity}): ${title}`,
      ),
    ...exceptions
      .filter(({ id }) => !known.some((advisory) => advisory.id === id))
      .map(({ id }) => `${id}: nothing that is installed is met by it any more: take its exception out`),
  ];
}
