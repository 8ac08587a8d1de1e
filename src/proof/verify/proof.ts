import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { proveSeats, proveSteps } from "../../postgres/ledger-proof.ts";
import { countRows, type Found } from "../../postgres/proof.ts";
import { farthest, readCursors } from "../../postgres/published.ts";
import { proveReferences, proveReservations } from "../../postgres/reservation-proof.ts";
import { type Anchor, proveChain } from "./chain-proof.ts";
import type { EventStore } from "./event-store.ts";
import { proveEvents } from "./events-proof.ts";
import { type Proof, proofOf, type Verdict } from "./findings.ts";

export interface Verification {
  verdict: Verdict;
  proofs: Proof[];
  /** Where the chain ends, to be kept somewhere else; undefined where that is not worth it. */
  head: Anchor | undefined;
}

export interface ToVerify {
  /** In one transaction that sees a single moment. */
  session: NodePgDatabase;
  /** Sees the same moment: what this process has to think about (chain, events) is read there meanwhile. */
  otherSession: NodePgDatabase;
  anchors: Anchor[];
  /** Opened before the transaction began; undefined where there is none, or none is known. */
  store: EventStore | undefined;
}

/** Every proof; what is damaged in one is looked for in the others all the same. */
export async function verify({ session, otherSession, anchors, store }: ToVerify): Promise<Verification> {
  const cursors = await readCursors(session);
  const [ofRows, { head, proofs: ofChain }] = await Promise.all([
    proveRows(session),
    proveChainAndEvents(otherSession, cursors, { anchors, store }),
  ]);
  const proofs = [...ofRows, ...ofChain];
  return { verdict: worst(proofs), proofs, head };
}

/** What the database can find out by itself. */
async function proveRows(session: NodePgDatabase): Promise<Proof[]> {
  const rowsOf = async (name: "seat_events" | "seats" | "reservations", found: Promise<Found>) => {
    const result = await found;
    return [`${await countRows(session, name)} ${name === "seat_events" ? "rows" : name}`, result] as const;
  };
  return [
    proofOf("ledger", ...(await rowsOf("seat_events", proveSteps(session)))),
    proofOf("seats", ...(await rowsOf("seats", proveSeats(session)))),
    proofOf("reservations", ...(await rowsOf("reservations", proveReservations(session)))),
    proofOf("references", "what rows name is there", await proveReferences(session)),
  ];
}

async function proveChainAndEvents(
  session: NodePgDatabase,
  cursors: Awaited<ReturnType<typeof readCursors>>,
  { anchors, store }: Pick<ToVerify, "anchors" | "store">,
): Promise<{ proofs: Proof[]; head: Anchor | undefined }> {
  const chain = await proveChain(session, { published: farthest(cursors.values()), anchors });
  const proofs = [chain.proof];
  if (store) proofs.push(await proveEvents(session, store, cursors));
  return { proofs, head: chain.head };
}

function worst(proofs: Proof[]): Verdict {
  const verdicts = new Set(proofs.map(({ verdict }) => verdict));
  if (verdicts.has("damaged")) return "damaged";
  return verdicts.has("unproven") ? "unproven" : "proven";
}
