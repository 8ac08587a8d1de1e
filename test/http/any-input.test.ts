import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { z } from "zod";
import { idOfApiKey, makeApiKey } from "../../src/access/api-key.ts";
import { clientAddress, networkOf } from "../../src/access/client-address.ts";
import { listSeats } from "../../src/catalogue/contract.ts";
import { eventChange, eventDescription } from "../../src/catalogue/description.ts";
import { ConfigError, describeConfig, readConfig } from "../../src/config/config.ts";
import { checked } from "../../src/http/faults.ts";
import { claimIn } from "../../src/http/idempotency-key.ts";
import { readJson } from "../../src/http/json-body.ts";
import { requestIdOf } from "../../src/http/request-id.ts";
import { parsePosition, positionText } from "../../src/live/position.ts";
import { holdSchema } from "../../src/reservations/hold-body.ts";
import { parseSeatId } from "../../src/venue/seat-id.ts";

// Whatever comes from outside is a value or a named error: nothing throws, nothing takes long.

const RUNS = 500;
/** Far beyond what any of them takes, a pause of the machine included; a backtracking pattern takes minutes. */
const ONE_LIMIT_MS = 1000;

/** Text as it comes, text that is nearly right, and much of it. */
const textLike = (...nearly: fc.Arbitrary<string>[]) =>
  fc.oneof(
    fc.string({ unit: "binary", maxLength: 60 }),
    ...nearly,
    fc
      .tuple(fc.string({ maxLength: 3 }), fc.nat(20_000))
      .map(([piece, times]) => piece.repeat(times).slice(0, 60_000)),
  );

/** Any text, changed in one place. */
const nearly = (text: fc.Arbitrary<string>) =>
  fc.tuple(text, fc.nat(), fc.string({ unit: "binary", maxLength: 3 })).map(([whole, at, put]) => {
    const place = at % (whole.length + 1);
    return whole.slice(0, place) + put + whole.slice(place + (at % 2));
  });

/** Header values cannot hold the rest: a request with it is no request. */
const headerLike = (...given: fc.Arbitrary<string>[]) =>
  textLike(...given).map((text) => text.replace(/[^\t\x20-\x7e\x80-\xff]/g, "").trim());

function always<Input>(input: fc.Arbitrary<Input>, holds: (input: Input) => void): void {
  fc.assert(
    fc.property(input, (given) => {
      const startedAt = performance.now();
      holds(given);
      expect(performance.now() - startedAt).toBeLessThan(ONE_LIMIT_MS);
    }),
    { numRuns: RUNS },
  );
}

const withHeader = (name: string, value: string) =>
  new Request("http://localhost/", { headers: { [name]: value } });

describe("any text", () => {
  const digits = fc.bigInt({ min: 0n, max: 10n ** 20n }).map(String);

  test("is a seat id or none, and one that reads back as it was written", () => {
    always(textLike(digits, nearly(digits)), (text) => {
      const id = parseSeatId(text);
      if (id !== undefined) expect([String(id), id > 0]).toEqual([text, true]);
    });
  });

  test("is a place in the stream of changes or none, and one that reads back as it was written", () => {
    const place = fc.tuple(fc.nat(), fc.nat(), fc.nat()).map((parts) => parts.join("-"));
    always(textLike(place, nearly(place)), (text) => {
      const position = parsePosition(text);
      if (position) expect(positionText(position)).toBe(text);
    });
  });

  test("is an API key or none", () => {
    const key = fc.constant(null).map(() => makeApiKey().key);
    always(textLike(key, nearly(key)), (text) => {
      const id = idOfApiKey(text);
      if (id !== undefined)
        expect(
          z
            .string()
            .regex(/^[0-9a-f-]{36}$/)
            .safeParse(id).success,
        ).toBe(true);
    });
  });

  test("as X-Forwarded-For gives the address that a trusted proxy wrote, or the connection's own", () => {
    const address = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.ipV4().map((ip) => `::ffff:${ip}`),
    );
    const list = fc.array(fc.oneof(address, nearly(address), fc.string({ maxLength: 5 })), { maxLength: 12 });
    always(fc.tuple(textLike(list.map((entries) => entries.join(", "))), fc.nat(10)), ([text, proxies]) => {
      const client = clientAddress("192.0.2.1", text, proxies);
      expect(client === "192.0.2.1" || text.includes(client)).toBe(true);
      expect(networkOf(client).length).toBeLessThan(80);
    });
  });

  test("as Idempotency-Key is a claim or a problem that names the header", () => {
    always(headerLike(fc.uuid(), nearly(fc.uuid())), (text) => {
      const claim = claimIn(withHeader("idempotency-key", text), () => "somebody", "/path", {});
      if (claim instanceof Response) expect(claim.status).toBe(400);
      else expect(claim?.key).toBe(text);
    });
  });

  test("as X-Request-Id is given back only where it is harmless", () => {
    always(headerLike(fc.uuid()), (text) => {
      expect(requestIdOf(withHeader("x-request-id", text))).toMatch(/^[\w.:-]{1,64}$/);
    });
  });

  test("as query of a page is its bounds or a problem that names the parameter", () => {
    const value = textLike(digits, fc.constantFrom("available", "1e3", "0x10", "-1", "", " 5 ", "Infinity"));
    const query = fc.dictionary(fc.constantFrom("after", "limit", "status", "__proto__", "other"), value);
    always(query, (given) => {
      const read = checked("query", listSeats.query, given);
      if ("problem" in read) {
        expect(read.problem.status).toBe(400);
      } else
        expect([read.value.limit >= 1, read.value.limit <= 1000, read.value.after >= 0]).toEqual([
          true,
          true,
          true,
        ]);
    });
  });

  test("as a setting is taken or refused with the variable's name, in one line", () => {
    const names = describeConfig().map(({ variable }) => variable);
    const known = fc.constantFrom(
      "0",
      "1",
      "true",
      "/etc/passwd",
      "postgres://a:b@c/d",
      "redis://a,redis://b",
      "a:1",
    );
    const environment = fc.dictionary(fc.constantFrom(...names), textLike(known, digits), { maxKeys: 4 });
    always(environment, (given) => {
      try {
        readConfig(given);
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        const named = /^[A-Z_]+/.exec(error.message)?.[0] ?? "";
        expect(Object.keys(given).some((name) => error.message.includes(name))).toBe(true);
        expect([named.length > 0, error.message.includes("\n")]).toEqual([true, false]);
      }
    });
  });
});

describe("any body", () => {
  const FIELDS = [
    ...[
      "eventId",
      "seatIds",
      "section",
      "quantity",
      "bestAvailable",
      "preferences",
      "buyerId",
      "name",
      "currency",
    ],
    ...[
      "sections",
      "kind",
      "rows",
      "seats",
      "priceTiers",
      "capacity",
      "status",
      "adjacency",
      "__proto__",
      "x",
      "y",
    ],
  ];
  const leaf = fc.oneof(
    fc.constantFrom<unknown>(
      0,
      1,
      -1,
      1.5,
      2 ** 53,
      1e308,
      null,
      true,
      "assigned",
      "general",
      "EUR",
      "",
      "required",
    ),
    fc.string({ maxLength: 5 }),
  );
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 5, withCrossShrink: true },
      leaf,
      fc.array(tie("tree"), { maxLength: 4 }),
      fc.dictionary(fc.constantFrom(...FIELDS), tie("tree"), { maxKeys: 6 }),
    ),
  }));
  const hold = fc.record(
    { eventId: leaf, seatIds: fc.array(leaf, { maxLength: 25 }), preferences: fc.array(tree), buyerId: leaf },
    { requiredKeys: [] },
  );
  const text = fc.oneof(tree, hold).map((value) => JSON.stringify(value) ?? "");
  const deep = fc
    .tuple(fc.constantFrom("[", '{"a":', '{"preferences":['), fc.nat(20_000))
    .map(([open, times]) => open.repeat(times).slice(0, 65_000));
  const bytes = fc.oneof(
    textLike(text, nearly(text), deep).map((given) => new TextEncoder().encode(given)),
    fc.uint8Array({ maxLength: 60 }),
  );

  const schemas: Record<string, z.ZodType> = {
    "of a hold": holdSchema,
    "of a new event": eventDescription,
    "of a change of an event": eventChange,
  };
  for (const [what, schema] of Object.entries(schemas)) {
    test(`${what} is read, or refused with a problem that says what is wrong with it`, async () => {
      await fc.assert(
        fc.asyncProperty(bytes, async (body) => {
          const startedAt = performance.now();
          const headers = { "content-type": "application/json" };
          const read = await readJson(
            new Request("http://localhost/", { method: "POST", headers, body }),
            schema,
            65_536,
          );
          if ("problem" in read) {
            const { type, detail } = (await read.problem.json()) as Record<string, string>;
            expect([read.problem.status, type]).toEqual([400, "urn:sentinel:problem:invalid-request"]);
            expect(detail).toMatch(/^[^\n]{1,400}: .{3,300}$/);
          }
          expect(performance.now() - startedAt).toBeLessThan(ONE_LIMIT_MS);
        }),
        { numRuns: RUNS },
      );
    });
  }
});
