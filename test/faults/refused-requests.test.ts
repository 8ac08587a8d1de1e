import { describe, expect, test } from "bun:test";
import { useEngine } from "../fixtures/use-engine.ts";
import { exchange } from "./any-bytes.ts";
import { get, servedDuring } from "./attackers.ts";

// Attackers, of README.md: limits on headers and URL, and requests that a proxy in front could read in another way (smuggling).

const reserve = (...headers: string[]) =>
  `${["POST /api/v1/bookings/reserve/0 HTTP/1.1", "host: engine", ...headers].join("\r\n")}\r\n\r\n`;
/** Hidden behind the first; it must not be answered. */
const hidden = get("/health/live");
const live = (...headers: string[]) => `${["GET /health/live HTTP/1.1", ...headers].join("\r\n")}\r\n\r\n`;

const REFUSED: Record<string, [request: string, status: number]> = {
  "a header of 20 kB": [live("host: a", `x-a: ${"a".repeat(20_000)}`), 431],
  "a header of 50 kB that does not end": [`GET / HTTP/1.1\r\nx-a: ${"a".repeat(50_000)}`, 431],
  "300 headers": [live("host: a", ...Array.from({ length: 300 }, (_, index) => `x-${index}: a`)), 431],
  "an address of 50 kB": [`GET /${"a".repeat(50_000)} HTTP/1.1\r\nhost: a\r\n\r\n`, 431],
  "a length and chunks": [
    `${reserve("content-length: 5", "transfer-encoding: chunked")}0\r\n\r\n${hidden}`,
    400,
  ],
  "two lengths": [`${reserve("content-length: 0", `content-length: ${hidden.length}`)}${hidden}`, 400],
  "a list of lengths": [`${reserve("content-length: 1, 1")}a${hidden}`, 400],
  "a length with a sign": [`${reserve("content-length: +1")}a${hidden}`, 400],
  "an unknown coding": [`${reserve("transfer-encoding: xchunked")}0\r\n\r\n${hidden}`, 400],
  "chunks that are not the last coding": [
    `${reserve("transfer-encoding: chunked, identity")}0\r\n\r\n${hidden}`,
    400,
  ],
  "a space before a colon": [`${reserve("transfer-encoding : chunked")}0\r\n\r\n${hidden}`, 400],
  "a folded header": [live("host: a", "x-a: b", " c"), 400],
  "bare line feeds": ["GET /health/live HTTP/1.1\nhost: a\n\n", 505],
  "no host": [live(), 400],
  "a zero byte in a header": [live("host: a", "x-a: b\0c"), 400],
  "the beginning of TLS": ["\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03", 400],
  "the preface of HTTP/2": ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
  "HTTP/0.9": ["GET /health/live\r\n\r\n", 505],
};

describe("a request that is too large, or that can be read in two ways", () => {
  const sale = useEngine({ env: { RATE_LIMIT_ADDRESS_REQUESTS: "0" } });

  const answersTo = async (request: string) => {
    const port = Number(new URL(sale.url).port);
    const answer = await exchange(port, [Buffer.from(request, "latin1")]);
    return [...answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
  };

  for (const [what, [request, status]] of Object.entries(REFUSED)) {
    test(`${what}: is answered ${status} and nothing more`, async () => {
      expect(await answersTo(request)).toEqual([status]);
    });
  }

  test("costs a normal client nothing, however many come", async () => {
    const served = await servedDuring(sale.url, async () => {
      for (let round = 0; round < 20; round++)
        await Promise.all(Object.values(REFUSED).map(([request]) => answersTo(request)));
    });
    expect(Object.keys(served.statuses)).toEqual(["200", "201"]);
  });

  test("is not one that is merely odd: the same length twice, or a host that is none", async () => {
    expect(await answersTo(`${reserve("content-length: 1", "content-length: 1")}a`)).toEqual([400]);
    for (const host of ["host: ", "host: [[[", "host: a:99999999"]) {
      expect(await answersTo(live(host))).toEqual([200]);
      expect(await answersTo(`GET /nope HTTP/1.1\r\n${host}\r\n\r\n`)).toEqual([404]);
    }
    expect(await answersTo("GET /nope HTTP/1.0\r\n\r\n")).toEqual([404]);
  });
});
