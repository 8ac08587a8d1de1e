import { describe, expect, test } from "bun:test";
import { ConfigError } from "../../src/config/config.ts";
import { reservePort } from "../../src/http/port.ts";
import { freePort } from "../fixtures/free-port.ts";
import { findLinux, partOrSkip } from "../fixtures/parts.ts";

const linux = await partOrSkip("linux", findLinux);

const host = "127.0.0.1";
const hello = { hostname: host, fetch: () => new Response("hello") };

describe("the port of several processes", () => {
  test("is free to be shared once it is reserved, and chosen where none is given", async () => {
    const { port, release } = await reservePort({ host, port: 0 });
    expect(port).toBeGreaterThan(0);
    const servers = [1, 2].map(() => Bun.serve({ ...hello, port, reusePort: true }));
    expect(await (await fetch(`http://${host}:${port}`)).text()).toBe("hello");
    await Promise.all(servers.map((server) => server.stop(true)));
    release();
  });

  for (const reusePort of [false, true]) {
    test(`is refused where somebody listens ${reusePort ? "who would share it" : "alone"}`, async () => {
      const port = await freePort();
      const server = Bun.serve({ ...hello, port, reusePort });
      try {
        const refusal = await reservePort({ host, port }).catch((error: unknown) => error);
        expect(refusal).toBeInstanceOf(ConfigError);
        expect(String(refusal)).toContain(`PORT: ${port} is taken by another process`);
      } finally {
        await server.stop(true);
      }
    });
  }

  test.skipIf(!linux)(
    "is refused to a second one before the first one's processes listen, until it is released",
    async () => {
      const port = await freePort();
      const { release } = await reservePort({ host, port });
      expect(String(await reservePort({ host, port }).catch((error: unknown) => error))).toContain("PORT:");
      release();
      (await reservePort({ host, port })).release();
    },
  );

  test("is no address of another machine", async () => {
    const refusal = await reservePort({ host: "192.0.2.1", port: 0 }).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ConfigError);
    expect(String(refusal)).toContain("HOST: 192.0.2.1");
  });
});
