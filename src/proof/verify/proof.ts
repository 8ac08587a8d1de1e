import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import { countRows, farthest, readCursors } from "../../postgres/published.ts";
import { findViolations } from "../rules/rule.ts";
import { rowRules } from "../rules/rules.ts";
import { type Anchor, proveChain } from "./chain-proof.ts";
import type { EventStore } from "./event-store.ts";
import { proveEvents } from "./events-proof.ts";
import { type Proof, proofOf, type Verdict } from "./findings.ts";

export interface Verification {
  verdict: Verdict;
  proofs: Proof[];
  /** The end of the chain, to be kept elsewhere; undefined if that is not useful. */
  head: Anchor | undefined;
}

export interface ToVerify {
  /** In one transaction that sees a single moment. */
  session: NodePgDatabase;
  /** Sees the same moment. The proofs that need this process's CPU (chain, events) read from it meanwhile. */
  otherSession: NodePgDatabase;
  anchors: Anchor[];
  /** Opened before the transaction began; undefined if there is none, or none is known. */
  store: EventStore | undefined;
}

/** Runs every proof. Damage in one does not stop the others. */
export async function verify({ session, otherSession, anchors, store }: ToVerify): Promise<Verification> {
  const cursors = await readCursors(session);
  const [ofRows, { head, proofs: ofChain }] = await Promise.all([
    proveRows(session),
    proveChainAndEvents(otherSession, cursors, { anchors, store }),
  ]);
  const proofs = [...ofRows, ...ofChain];
  return { verdict: worst(proofs), proofs, head };
}

/** Checks the rules that the database checks by itself. In tests too, this says whether a database is sound. */
export async function proveRows(session: NodePgDatabase): Promise<Proof[]> {
  const prove = async (name: keyof typeof rowRules, checked: () => Promise<string>) => {
    const found = await findViolations(session, rowRules[name]);
    return proofOf(name, await checked(), found);
  };
  return [
    await prove("ledger", async () => `${await countRows(session, "seat_events")} rows`),
    await prove("seats", async () => `${await countRows(session, "seats")} seats`),
    await prove("reservations", async () => `${await countRows(session, "reservations")} reservations`),
    await prove("references", async () => "what rows name is there"),
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
