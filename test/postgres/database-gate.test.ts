import { expect, test } from "bun:test";
import { DatabaseGate, type ProbeFault } from "../../src/postgres/database-gate.ts";
import { until } from "../fixtures/until.ts";

// What a failed rehearsal means. That engines heed the gate is in test/faults/postgres-unsellable.test.ts.

test("a rehearsal whose thread died refuses nobody, one that the database did not answer does", async () => {
  let fault: ProbeFault | undefined = { kind: "untried", reason: "the thread died" };
  let rehearsals = 0;
  const gate = new DatabaseGate({
    probe: () => Promise.resolve(undefined),
    rehearse: () => {
      rehearsals++;
      return Promise.resolve(fault);
    },
  });
  try {
    gate.suspect("lost");
    await until("it is rehearsed again", () => rehearsals === 2);
    expect(gate.isUp).toBe(true);
    fault = { kind: "slow", reason: "no answer" };
    await until("sales are refused", () => !gate.isUp);
    fault = undefined;
    await until("seats are sold again", () => gate.isUp);
  } finally {
    gate.close();
  }
});
