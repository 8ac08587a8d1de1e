import type { Rule } from "./rule.ts";

/** The rules of the ledger's chain of checkpoints, which `ChainWalk` checks by hashing the rows again. */
export const chainRules = {
  changed: {
    finding: "a ledger row was changed after it was sealed",
    statement: "A sealed ledger row stays as it was sealed, in every column.",
  },
  changedAct: {
    finding: "an act of an administrator was changed after it was sealed",
    statement: "A sealed act of an administrator stays as it was sealed, in every column.",
  },
  deleted: {
    finding: "a ledger row was deleted after it was sealed",
    statement: "No sealed row or act is ever deleted.",
  },
  added: {
    finding: "a ledger row was added",
    statement: "No ledger row is added to a part of the ledger that is already sealed.",
  },
  addedAct: {
    finding: "an act of an administrator was added",
    statement: "No act of an administrator is added to a part of the ledger that is already sealed.",
  },
  moved: {
    finding: "a ledger row that is not sealed: it may be one that seems deleted, with its place changed",
    statement:
      "A sealed row keeps its place in the order of publishing. Reported only beside rows that seem deleted.",
  },
  altered: {
    finding: "a checkpoint does not follow from its rows: it was changed, or one of them",
    statement: "Each checkpoint is the hash of the previous one and of the rows since.",
  },
  miscounted: {
    finding: "a checkpoint miscounts its rows",
    statement: "Each checkpoint says how many rows it seals, and how many all up to it seal.",
  },
  otherEnd: {
    finding: "a checkpoint names another last row than the one it has sealed",
    statement: "Each checkpoint names the last row that it seals.",
  },
  otherDigests: {
    finding: "a checkpoint's row digests were changed",
    statement: "Each checkpoint keeps the CRC-32 of each row that it seals.",
  },
  missing: {
    finding: "checkpoints are missing",
    statement: "Checkpoints are numbered 1, 2, 3 and so on, without a gap.",
  },
  lostAnchor: {
    finding: "the chain does not contain the checkpoint that was kept",
    statement: "The chain still contains each head that was kept elsewhere and passed as --anchor.",
  },
} as const satisfies Record<string, Rule>;

/** The rules of what was published, which `EventReading` checks by comparing each event with its ledger row. */
export const eventRules = {
  missing: {
    finding: "a published ledger row has no event",
    statement: "Every ledger row up to the sink's cursor has an event.",
  },
  foreign: {
    finding: "an event is not in the ledger",
    statement: "Every event is that of a ledger row of the same epoch.",
  },
  different: {
    finding: "an event does not say what its ledger row says",
    statement: "An event has the key, the value and the headers that follow from its ledger row.",
  },
  late: {
    finding: "an event came after one of a later version of its seat",
    statement: "Per seat, the first occurrences of the events come in the order of the versions.",
  },
} as const satisfies Record<string, Rule>;
