import { describe, expect, test } from "bun:test";
import { clientAddress, networkOf } from "../../src/access/client-address.ts";

const SOCKET = "10.0.0.9";

describe("the client's address", () => {
  test.each<[string, string | null, number, string]>([
    ["is the connection's where no proxy is trusted", "1.1.1.1", 0, SOCKET],
    ["is the connection's where nothing was forwarded", null, 1, SOCKET],
    ["is what the one trusted proxy added, whatever stood there before", "6.6.6.6, 1.1.1.1", 1, "1.1.1.1"],
    ["is what the outer of two trusted proxies added", "6.6.6.6, 1.1.1.1, 10.0.0.2", 2, "1.1.1.1"],
    ["is the outermost there is where fewer proxies were passed", "1.1.1.1", 3, "1.1.1.1"],
    ["takes no spaces to be no different", "6.6.6.6,1.1.1.1", 1, "1.1.1.1"],
    ["is the connection's where the entry is no address", "1.1.1.1, unknown", 1, SOCKET],
    ["is the last that was one where a further entry is none", "<script>, 1.1.1.1", 2, "1.1.1.1"],
    ["is without the port that some proxies add", "1.1.1.1:4711", 1, "1.1.1.1"],
    ["is without the brackets and port of IPv6", "[2001:db8::1]:4711", 1, "2001:db8::1"],
    ["is the connection's where the entry is empty", "1.1.1.1,", 1, SOCKET],
  ])("%s", (_, forwardedFor, trustedProxyCount, expected) => {
    expect(clientAddress(SOCKET, forwardedFor, trustedProxyCount)).toBe(expected);
  });

  test("of a connection that is gone is one for all such", () => {
    expect(clientAddress(undefined, null, 0)).toBe("unknown");
  });
});

describe("one client's network", () => {
  test.each([
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:C000:201", "192.0.2.1"],
    ["0:0:0:0:0:ffff:c000:0201", "192.0.2.1"],
    ["0000::ffff:192.0.2.1%eth0", "192.0.2.1"],
    ["::ffff:0:c000:201", "0:0:0:0::/64"],
    ["::192.0.2.1", "0:0:0:0::/64"],
    ["::ffff:1", "0:0:0:0::/64"],
    ["0:ffff::1", "0:ffff:0:0::/64"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:DB8:1:2:ffff::", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["2001:0db8:0000:0000::1", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["::", "0:0:0:0::/64"],
    ["1::2:3:4:5:6:7", "1:0:2:3::/64"],
    ["1:2:3::4:5:6:7", "1:2:3:0::/64"],
    ["64:ff9b::192.0.2.1", "64:ff9b:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["unknown", "unknown"],
  ])("of %s is %s", (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});
