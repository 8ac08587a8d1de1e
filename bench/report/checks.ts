import type { Check, Measurement } from "../measure.ts";

/** A server's sales in all rounds of a scenario, seen from three sides. */
export interface Tally extends Check {
  scenario: Measurement["scenario"];
  server: Measurement["server"];
}

/** Returns whether nothing was lost and nothing was invented. */
export const agrees = ({ accepted, uncountedLimit, ledgerRows, published, faults }: Check) =>
  ledgerRows >= accepted &&
  ledgerRows <= accepted + uncountedLimit &&
  (published === undefined || published === ledgerRows) &&
  faults.length === 0;

/** Combines the rounds of each scenario and server. A surplus of one round never hides a lack in another. */
export function checksOf(measurements: readonly Measurement[]): Tally[] {
  const groups = Map.groupBy(measurements, ({ scenario, server }) => `${scenario} ${server}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    const checks = group.flatMap(({ check }) => check ?? []);
    if (!first || checks.length === 0) return [];
    const sum = (figure: (check: Check) => number) => checks.reduce((total, each) => total + figure(each), 0);
    return {
      ...{ scenario: first.scenario, server: first.server },
      accepted: sum(({ accepted }) => accepted),
      uncountedLimit: sum(({ uncountedLimit }) => uncountedLimit),
      ledgerRows: sum(({ ledgerRows }) => ledgerRows),
      published: checks.every(({ published }) => published !== undefined)
        ? sum(({ published }) => published ?? 0)
        : undefined,
      faults: group.flatMap(({ check, variant, connections, round }) =>
        check ? faultsOf(check).map((fault) => `round ${round}, ${variant || connections}: ${fault}`) : [],
      ),
    };
  });
}

function faultsOf(check: Check): string[] {
  const { accepted, ledgerRows, published, faults } = check;
  if (agrees({ ...check, faults: [] })) return faults;
  return [...faults, `${accepted} accepted, ${ledgerRows} ledger rows, ${published ?? "no"} events`];
}
