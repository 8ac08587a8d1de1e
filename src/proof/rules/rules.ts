import { referenceRules } from "./reference-rules.ts";
import { ownerRule, reservationRules } from "./reservation-rules.ts";
import type { RowRules, Rule } from "./rule.ts";
import { chainRules, eventRules } from "./sealed-rules.ts";
import { ledgerRules, seatRules } from "./seat-rules.ts";

/** The rules that the database checks by itself, by the proof that they make up. */
export const rowRules = {
  ledger: ledgerRules,
  seats: seatRules,
  reservations: reservationRules,
  references: referenceRules,
} as const satisfies Record<string, readonly RowRules[]>;

/** Every rule by the proof of `verify` that checks it, in their order; then the one that only the auditor needs. */
export const rulesByProof: Readonly<Record<string, readonly Rule[]>> = {
  ...Object.fromEntries(
    Object.entries(rowRules).map(([proof, groups]) => [proof, groups.flatMap(({ rules }) => rules)]),
  ),
  chain: Object.values(chainRules),
  events: Object.values(eventRules),
  auditor: [ownerRule],
};

/** The list of all rules for people: what must be true under what a finding says. */
export const rulesText = (): string =>
  Object.entries(rulesByProof)
    .map(([proof, rules]) =>
      [proof, ...rules.flatMap(({ finding, statement }) => [`  ${finding}`, `    ${statement}`])].join("\n"),
    )
    .join("\n");
