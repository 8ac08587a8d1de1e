import { createServer, isIPv6 } from "node:net";
import { type Config, ConfigError } from "../config/config.ts";

/** The address of a server, and the settings that define it. */
export interface Address extends Pick<Config, "host" | "port"> {
  variables?: { host: string; port: string };
}

const PUBLIC = { host: "HOST", port: "PORT" };

/** Returns the management port's address, if it has one. */
export function managementAddress(
  config: Pick<Config, "host" | "managementHost" | "managementPort">,
): Address | undefined {
  const { managementPort: port, managementHost, host } = config;
  if (port === undefined) return undefined;
  return {
    ...{ port, host: managementHost ?? host },
    variables: {
      ...{ port: "MANAGEMENT_PORT", host: managementHost === undefined ? "HOST" : "MANAGEMENT_HOST" },
    },
  };
}

export interface ReservedPort {
  port: number;
  release(): void;
}

/** Explains why an address is unusable, naming the setting to correct. */
export function portFault(error: unknown, { host, port, variables = PUBLIC }: Address): ConfigError {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE") {
    return new ConfigError(
      `${variables.port}: ${port} is taken by another process: stop that one, or set ${variables.port} to another port`,
    );
  }
  return new ConfigError(
    `${variables.host}: ${inUrl(host)}:${port} cannot be listened on (${code ?? String(error)}): choose an address of this machine and a port you may use`,
  );
}

/** Returns a URL for people, with `localhost` in place of every address. */
export function urlOf(host: string, port: number): string {
  return `http://${host === "0.0.0.0" || host === "::" ? "localhost" : inUrl(host)}:${port}`;
}

/** Puts an IPv6 address in brackets, so that its colons are not mistaken for the port's. */
const inUrl = (host: string): string => (isIPv6(host) ? `[${host}]` : host);

/** How long a process that is ending may take to free its port. */
const LEAVING_LIMIT_MS = 1000;
const LEAVING_POLL_MS = 100;

/**
 * Checks that the ports of the settings are free, before anything is set up.
 * @throws {ConfigError} naming the variable to correct.
 */
export async function assertPortsFree(
  config: Pick<Config, "host" | "port" | "managementHost" | "managementPort">,
): Promise<void> {
  const deadline = performance.now() + LEAVING_LIMIT_MS;
  for (const address of [config, managementAddress(config)]) {
    if (!address || address.port === 0) continue;
    while (!isFree(address) && performance.now() < deadline) await Bun.sleep(LEAVING_POLL_MS);
    listenAlone(address);
  }
}

function isFree(address: Address): boolean {
  try {
    listenAlone(address);
    return true;
  } catch {
    return false;
  }
}

/**
 * Listens for an instant, which fails while another process has the port.
 * @returns the port, which the system chooses for 0
 */
function listenAlone(address: Address): number {
  try {
    const alone = Bun.listen({ hostname: address.host, port: address.port, socket: { data() {} } });
    alone.stop(true);
    return alone.port;
  } catch (error) {
    throw portFault(error, address);
  }
}

/**
 * Makes sure that nobody else shares a port that our processes are going to share, and chooses it if it is 0.
 * It listens on the port alone for an instant, which the system refuses while anybody has it. A program that
 * takes the port alone afterwards makes either itself or our processes fail. Another engine of several
 * processes fails because of the name kept here (Linux). Only a program of the same user that also shares
 * ports remains, which nothing can keep out.
 * @throws {ConfigError} naming PORT or HOST
 */
export async function reservePort(address: Address): Promise<ReservedPort> {
  const { host } = address;
  const port = listenAlone(address);
  const release = await keepName(`sentinel ${host}:${port}`).catch((error: unknown) => {
    throw portFault(error, { ...address, port });
  });
  return { port, release };
}

/**
 * Listens in Linux's abstract namespace, where a name belongs to one process of the machine until it ends in
 * any way.
 */
function keepName(name: string): Promise<() => void> {
  if (process.platform !== "linux") return Promise.resolve(() => undefined);
  return new Promise((resolve, reject) => {
    const server = createServer((stranger) => stranger.destroy());
    server.once("error", reject);
    server.listen({ path: `\0${name}` }, () => {
      server.unref();
      resolve(() => server.close());
    });
  });
}
