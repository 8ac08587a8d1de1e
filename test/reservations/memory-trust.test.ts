import { expect, test } from "bun:test";
import type { Company } from "../../src/postgres/presence.ts";
import { MemoryTrust } from "../../src/reservations/memory-trust.ts";
import { until } from "../fixtures/until.ts";

// Whether memory may be trusted, by who is there. That engines heed it is in test/engine/memory-trust.test.ts.

const OWN = 1;
const OTHER = 2;

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
    onLook: () => undefined,
    onUnheard: () => undefined,
  });
  try {
    await until("the first catch-up read", () => catchUps.length === 1);
    catchUps[0]?.resolve();
    await until("memory is trusted beside the other engine", () => trust.isTrusted);
    // It may have died between a commit and telling it.
    company = { presences: [OWN], unnumberedCount: 0 };
    await until("another catch-up read", () => catchUps.length === 2);
    expect(trust.isTrusted).toBe(false);
    catchUps[1]?.resolve();
    await until("memory is trusted alone", () => trust.isTrusted);
    trust.close();
    expect(trust.isTrusted).toBe(false);
  } finally {
    trust.close();
  }
});
