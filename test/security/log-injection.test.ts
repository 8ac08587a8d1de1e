import { expect, test } from "bun:test";
import { resolve } from "node:path";
import { logLines, strayLines } from "../engine/engines.ts";
import { openSelling } from "../fixtures/use-engine.ts";

const ROOT = resolve(import.meta.dir, "../..");
/** What a forged line, a terminal's escape and a flood begin with. */
const FORGED = '{"level":30,"msg":"forged"}';
const HOSTILE = `\r\n${FORGED}\n\u001b[2J\u0000\u2028${"x".repeat(200_000)}`;
/** Level, time, thread and the like beside the longest words of a fault, each escaped. */
const LINE_LIMIT_CHARACTERS = 8000;

test("whatever a fault says, its log line is one bounded line of JSON", async () => {
  const program = `
    import { createLog, FaultLog, messageOf } from "./src/telemetry/log.ts";
    const hostile = JSON.parse(await Bun.stdin.text());
    const log = createLog("trace", "main");
    log.error({ error: messageOf(new Error(hostile)) }, "a request failed");
    log.error({ error: messageOf(new Error("outer", { cause: new Error(hostile) })) }, "a request failed");
    log.error({ error: messageOf(hostile) }, "a request failed");
    new FaultLog(log, "a fault").met(new Error(hostile));
  `;
  const child = Bun.spawn([process.execPath, "-e", program], {
    ...{ cwd: ROOT, stdin: Buffer.from(JSON.stringify(HOSTILE)), stdout: "pipe", stderr: "inherit" },
  });
  const text = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  const lines = text.trimEnd().split("\n");
  expect(lines).toHaveLength(4);
  for (const line of lines) {
    expect(line.length).toBeLessThan(LINE_LIMIT_CHARACTERS);
    expect(line).not.toMatch(/\p{Cc}/u);
    expect(JSON.parse(line)).toMatchObject({ level: 50, error: expect.stringContaining("forged") });
  }
});

test("nothing that a client sends is found in the log, at the most talkative level either", async () => {
  await using stack = new AsyncDisposableStack();
  const { engine } = await openSelling(stack, { env: { LOG_LEVEL: "trace" } });
  const before = logLines(engine).length;
  const marked = "f0rged%0d%0a%1b%5b2J";
  const requests: [path: string, init?: RequestInit][] = [
    [`/api/v1/bookings/reserve/${marked}`, { method: "POST" }],
    [`/${marked}`],
    [`/api/v1/seats?status=${marked}&limit=${marked}`],
    [
      "/api/v1/seats/1",
      { headers: { "X-Request-Id": "f0rged id", "User-Agent": "f0rged", "X-API-Key": "f0rged" } },
    ],
    ["/api/v1/seats/1", { headers: { Authorization: "Bearer f0rged", "X-Forwarded-For": "f0rged" } }],
    ["/api/v1/reservations", { method: "POST", body: '{"f0rged": "\\u0000\\n"}' }],
    [
      "/api/v1/reservations",
      { method: "POST", headers: { "Idempotency-Key": "f0rged-".repeat(30) }, body: "f0rged" },
    ],
    ["/api/v1/reservations/f0rged/confirm", { method: "POST", headers: { "X-Reservation-Token": "f0rged" } }],
  ];
  for (const [path, init] of requests) {
    const answer = await fetch(engine.url + path, {
      ...init,
      headers: { "Content-Type": "application/json", ...init?.headers },
    });
    expect(answer.status).toBeLessThan(500);
    expect(answer.headers.get("x-request-id") ?? "").not.toContain("f0rged");
  }
  await engine.stop();
  expect(logLines(engine).length).toBeGreaterThan(before);
  expect(engine.output()).not.toContain("f0rged");
  expect(strayLines(engine)).toEqual([]);
});
