import { expect, test } from "bun:test";
import fc from "fast-check";
import { pathOf } from "../../src/http/request-path.ts";

test.each([
  ["http://localhost:8080/api/v1/seats?after=1", "/api/v1/seats"],
  ["http://localhost/", "/"],
  ["http://localhost", "/"],
  // What Bun gives without a Host header, and with one that is no host.
  ["/nope?x=1", "/nope"],
  ["http://[[[/nope#there?", "/nope"],
  ["http://a:99999999//nope/", "//nope/"],
])("the path of %s is %s", (url, path) => {
  expect(pathOf({ url })).toBe(path);
});

test("whatever the address is, the path begins with a slash and has neither query nor fragment", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.webPath()), (url) => {
      const path = pathOf({ url });
      expect(path).toStartWith("/");
      expect(path).not.toMatch(/[?#]/);
    }),
  );
});
