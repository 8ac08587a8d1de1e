import { expect, test } from "bun:test";
import { networkInterfaces } from "node:os";
import { openDatabase } from "../fixtures/postgres.ts";
import { reserve } from "./buyers.ts";
import { logLines, openEngine } from "./engines.ts";

const hasIPv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ family }) => family === "IPv6"),
);

test.skipIf(!hasIPv6)("without HOST an engine serves clients by IPv4 and by IPv6", async () => {
  await using stack = new AsyncDisposableStack();
  const database = await openDatabase(stack);
  const engine = await openEngine(stack, { DATABASE_URL: database.url, HOST: "" });
  const { port } = new URL(engine.url);
  const overIPv6 = `http://[::1]:${port}`;
  expect((await reserve(engine.url, 1)).status).toBe(201);
  expect((await reserve(overIPv6, 2)).status).toBe(201);
  const ready = logLines(engine).find(({ msg }) => msg === "ready");
  expect(ready?.url).toBe(`http://localhost:${port}`);
});

test.skipIf(!hasIPv6)("HOST may be an IPv6 address, which stands in brackets in URLs", async () => {
  await using stack = new AsyncDisposableStack();
  const database = await openDatabase(stack);
  const engine = await openEngine(stack, { DATABASE_URL: database.url, HOST: "::1" }, { host: "[::1]" });
  expect((await reserve(engine.url, 1)).status).toBe(201);
  expect(logLines(engine).find(({ msg }) => msg === "ready")?.url).toBe(engine.url);
});
