import type { Finding } from "../rules/rule.ts";
import type { Proof } from "./findings.ts";
import type { Verification } from "./proof.ts";

const VERDICTS = { proven: "ok", damaged: "FAILED", unproven: "NOT PROVEN" } as const;
const NAME_CHARACTERS = 13;

/** Formats the result for people: a line per proof, then the findings, then the chain's head. */
export function summaryOf({ verdict, proofs, head }: Verification, seconds: number): string {
  const findings = proofs.flatMap(({ findings, totals }) =>
    Object.entries(totals).flatMap(([what, total]) => [
      "",
      `${what} (${total})`,
      ...findings.filter((finding) => finding.what === what).map((finding) => `  ${placeOf(finding)}`),
    ]),
  );
  return [
    ...proofs.map(lineOf),
    ...findings,
    "",
    ...(head ? [`Keep this elsewhere: --anchor ${head.rowsTotal}:${head.digest}`] : []),
    `${VERDICTS[verdict]}, in ${seconds.toFixed(1)} s`,
  ].join("\n");
}

const lineOf = ({ name, verdict, checked, note }: Proof): string =>
  `${name.padEnd(NAME_CHARACTERS)} ${VERDICTS[verdict].padEnd(10)} ${checked}${note === undefined ? "" : ` (${note})`}`;

function placeOf({ seatId, version, reservationId, detail }: Finding): string {
  const parts = [
    seatId != null && `seat ${seatId}`,
    version != null && `version ${version}`,
    reservationId != null && `reservation ${reservationId}`,
    detail != null && detail,
  ];
  return parts.filter((part) => part !== false).join(", ");
}
