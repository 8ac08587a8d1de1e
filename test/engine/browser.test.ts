import { beforeAll, describe, expect, test } from "bun:test";
import { type Browser, chromium, type Page } from "playwright-core";
import { findProgram, partOrSkip } from "../fixtures/parts.ts";
import { useEngine } from "../fixtures/use-engine.ts";
import { reserve, reservePath } from "./buyers.ts";

const PAGE_DEADLINE_MS = 30_000;
/** What a shop's page does: reads, listens, reserves seat 21, holds seat 22 and lets it go. */
const actsOfTheShop = (url: string) => `(async () => {
  const url = ${JSON.stringify(url)};
  const map = await fetch(url + "/api/v1/events/1/map");
  const missing = await fetch(url + "/nope");
  const stream = new EventSource(url + "/api/v1/events/1/changes");
  await new Promise((resolve) => stream.addEventListener("open", resolve, { once: true }));
  const change = new Promise((resolve) => {
    for (const name of ["message", "change", "changes", "seat", "seats"])
      stream.addEventListener(name, (event) => resolve(event.data));
  });
  const won = await fetch(url + ${JSON.stringify(reservePath(21))}, {
    method: "POST",
    headers: { "X-Request-Id": "shop-1" },
  });
  const hold = await fetch(url + "/api/v1/reservations", {
    method: "POST",
    headers: { "content-type": "application/json", "Idempotency-Key": crypto.randomUUID() },
    body: JSON.stringify({ seatIds: [22] }),
  });
  const { reservationId, token } = await hold.json();
  const released = await fetch(url + "/api/v1/reservations/" + reservationId, {
    method: "DELETE",
    headers: { "X-Reservation-Token": token },
  });
  const data = await change;
  stream.close();
  return {
    statuses: [map.status, missing.status, won.status, hold.status, released.status],
    etag: map.headers.get("etag"),
    type: (await missing.json()).type,
    requestId: won.headers.get("x-request-id"),
    location: hold.headers.get("location"),
    data,
  };
})()`;

const found = await partOrSkip("chromium", () => findProgram("chromium", "chromium-browser"));

describe.skipIf(!found)("a browser", () => {
  const sale = useEngine({
    env: async () => {
      shopUrl = openSite("localhost");
      strangerUrl = openSite("127.0.0.2");
      return { CORS_ORIGINS: new URL(shopUrl).origin };
    },
  });
  let browser: Browser;
  /** Pages of two sites that are neither the engine's nor each other's; the engine allows the first. */
  let shopUrl: string;
  let strangerUrl: string;
  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: found ?? "",
      args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"],
    });
    sale.stack.defer(() => browser.close());
  });

  function openSite(hostname: string): string {
    const site = Bun.serve({
      port: 0,
      hostname,
      fetch: () => new Response("<h1>A shop</h1>", { headers: { "content-type": "text/html" } }),
    });
    sale.stack.defer(() => site.stop(true));
    return `http://${hostname}:${site.port}/`;
  }

  async function at(url: string, body: (page: Page) => Promise<void>): Promise<void> {
    const page = await browser.newPage();
    page.setDefaultTimeout(PAGE_DEADLINE_MS);
    try {
      await page.goto(url);
      await body(page);
    } finally {
      await page.close();
    }
  }

  const statusOf = async (seatId: number) =>
    ((await (await fetch(`${sale.url}/api/v1/seats/${seatId}`)).json()) as { status: string }).status;

  test("on a page of another site sells nothing, by fetch or by form", async () => {
    await at(strangerUrl, async (page) => {
      await page.evaluate(
        (url) => fetch(url, { method: "POST", mode: "no-cors" }),
        sale.url + reservePath(11),
      );
      const answered = page.waitForResponse((response) => response.url().endsWith("/12"));
      await page.evaluate(`
        const form = Object.assign(document.createElement("form"), {
          method: "post",
          action: ${JSON.stringify(sale.url + reservePath(12))},
        });
        document.body.append(form);
        form.submit();`);
      expect((await answered).status()).toBe(403);
    });
    expect([await statusOf(11), await statusOf(12)]).toEqual(["available", "available"]);
    expect((await reserve(sale.url, 11)).status).toBe(201);
  });

  test("on a page of an allowed origin reads the map, an error and the stream, and acts", async () => {
    await at(shopUrl, async (page) => {
      const read = (await page.evaluate(actsOfTheShop(sale.url))) as { data: string };
      expect(read).toMatchObject({
        statuses: [200, 404, 201, 201, 200],
        etag: expect.stringMatching(/"/),
        type: "urn:sentinel:problem:not-found",
        requestId: "shop-1",
        location: expect.stringContaining("/api/v1/reservations/"),
      });
      expect(read.data).toContain("21");
    });
  });

  test("is led from / to the docs, where the first operation can be tried as it stands", async () => {
    await at(sale.url, async (page) => {
      const failed: string[] = [];
      page.on("response", (response) => void (response.status() >= 400 && failed.push(response.url())));
      await page.getByRole("link", { name: "/docs", exact: true }).click();
      await page.getByText("API keys.").first().waitFor();
      const screenshots = process.env["SCREENSHOTS"];
      const locks = await page
        .locator(".authorization__btn")
        .evaluateAll((buttons) => buttons.map((button) => button.getAttribute("aria-label")));
      const needKey = await page.locator(".opblock-summary", { hasText: "(needs an API key)" }).count();
      expect(needKey).toBeGreaterThan(0);
      expect(locks).toEqual(Array.from({ length: needKey }, () => "authorization button unlocked"));
      const first = page.locator(".opblock").first();
      await first.click();
      await first.getByRole("button", { name: "Execute" }).waitFor();
      expect(failed).toEqual([]);
      const answered = page.waitForResponse((response) => response.url().includes("/bookings/reserve/"));
      await first.getByRole("button", { name: "Execute" }).click();
      expect((await answered).status()).toBe(201);
      if (screenshots) await page.screenshot({ path: `${screenshots}/docs.png`, fullPage: true });
    });
    const icon = await fetch(`${sale.url}/favicon.ico`);
    expect([icon.status, icon.headers.get("content-type")]).toEqual([200, "image/svg+xml"]);
  });

  test("is shown which operations need a key, an example for each path parameter and real problems", async () => {
    const document = (await (await fetch(`${sale.url}/openapi.json`)).json()) as ApiDocument;
    const operations = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, operation]) => ({ name: `${method} ${path}`, ...operation })),
    );
    for (const { name, summary, security, parameters = [], responses } of operations) {
      const needsKey = security.length > 0 && !security.some((each) => Object.keys(each).length === 0);
      expect([name, summary?.endsWith("(needs an API key)")]).toEqual([name, needsKey]);
      for (const parameter of parameters)
        if (parameter.in === "path") expect([name, parameter.example]).toEqual([name, expect.anything()]);
      for (const [status, { content = {} }] of Object.entries(responses))
        for (const { value } of Object.values(content["application/problem+json"]?.examples ?? {}))
          expect([name, String(value.status), value.type]).toEqual([
            name,
            status,
            expect.stringMatching(/^urn:/),
          ]);
    }
    expect(operations.some(({ summary }) => summary?.endsWith("(needs an API key)"))).toBe(true);
  });
});

interface ApiDocument {
  paths: Record<string, Record<string, Operation>>;
}

interface Operation {
  summary?: string;
  security: object[];
  parameters?: { in: string; example?: unknown }[];
  responses: Record<
    string,
    { content?: Record<string, { examples?: Record<string, { value: { status: number; type: string } }> }> }
  >;
}
