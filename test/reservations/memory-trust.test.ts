import { expect, test } from "bun:test";
import type { Company } from "../../src/postgres/presence.ts";
import { MemoryTrust } from "../../src/reservations/memory-trust.ts";
import { until } from "../fixtures/until.ts";

// Whether memory may be trusted, by who is there. That engines heed it is in test/engine/memory-trust.test.ts.

const OWN = 1;
const OTHER = 2;
const WAIT = { deadlineMs: 10_000 };

test("distrusts memory from a heard engine's death to the next catch-up read, and once closed", async () => {
  let company: Company = { presences: [OWN, OTHER], unnumberedCount: 0 };
  const catchUps: PromiseWithResolvers<void>[] = [];
  const trust = new MemoryTrust({
    presence: OWN,
    readCompany: () => Promise.resolve(company),
    hears: () => true,
    isFeedLive: () => true,
    catchUp: () => {
      const read = Promise.withResolvers<void>();
      catchUps.push(read);
      return read.promise;
    },
    onUnheard: () => undefined,
  });
  try {
    await until(() => catchUps.length === 1, { ...WAIT, what: "the first catch-up read" });
    catchUps[0]?.resolve();
    await until(() => trust.isTrusted, { ...WAIT, what: "memory is trusted beside the other engine" });
    // It may have died between a commit and telling it.
    company = { presences: [OWN], unnumberedCount: 0 };
    await until(() => catchUps.length === 2, { ...WAIT, what: "another catch-up read" });
    expect(trust.isTrusted).toBe(false);
    catchUps[1]?.resolve();
    await until(() => trust.isTrusted, { ...WAIT, what: "memory is trusted alone" });
    trust.close();
    expect(trust.isTrusted).toBe(false);
  } finally {
    trust.close();
  }
});
