import { describe, expect, test } from "bun:test";
import { readConfig } from "../../src/config/config.ts";

describe("the settings of access", () => {
  test("leave everything open by default, with limits on all but the contract's reserve route", () => {
    expect(readConfig({})).toMatchObject({
      requireApiKey: false,
      trustedProxyCount: 0,
      rateLimitReserveRequests: 0,
      tokenSecret: undefined,
    });
    expect(readConfig({}).rateLimitAddressRequests).toBeGreaterThan(0);
    expect(readConfig({}).rateLimitKeyRequests).toBeGreaterThan(0);
  });

  test("take true and false, and nothing like them", () => {
    expect(readConfig({ REQUIRE_API_KEY: "true" }).requireApiKey).toBe(true);
    expect(readConfig({ REQUIRE_API_KEY: "false" }).requireApiKey).toBe(false);
    for (const value of ["TRUE", "1", "yes", " true"]) {
      expect(() => readConfig({ REQUIRE_API_KEY: value })).toThrow("REQUIRE_API_KEY: must be true or false");
    }
  });

  test("take a secret of 32 characters, and never show one that they refuse", () => {
    const secret = "x".repeat(32);
    expect(readConfig({ TOKEN_SECRET: secret }).tokenSecret).toBe(secret);
    for (const refused of ["s3cret", "s3cret".repeat(100)]) {
      let message = "";
      try {
        readConfig({ TOKEN_SECRET: refused });
      } catch (error) {
        message = String(error);
      }
      expect(message).toMatch(/TOKEN_SECRET: must have at (least 32|most 512) characters$/);
      expect(message).not.toContain("s3cret");
    }
  });
});
