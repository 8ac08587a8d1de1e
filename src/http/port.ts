import { createServer, isIPv6 } from "node:net";
import { type Config, ConfigError } from "../config/config.ts";

/** Where a server listens, and which settings say so. */
export interface Address extends Pick<Config, "host" | "port"> {
  variables?: { host: string; port: string };
}

const PUBLIC = { host: "HOST", port: "PORT" };

/** The management port's address, where it has one. */
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

/** Why an address cannot be listened on, as the setting to correct. */
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

/** For people, who cannot ask "every address". */
export function urlOf(host: string, port: number): string {
  return `http://${host === "0.0.0.0" || host === "::" ? "localhost" : inUrl(host)}:${port}`;
}

/** An IPv6 address stands in brackets, so that its colons are not taken for the port's. */
const inUrl = (host: string): string => (isIPv6(host) ? `[${host}]` : host);

/** A process that is ending has so long to give its port back. */
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

/** Listens for an instant, which fails while a process has the port. @returns the port, which the system chooses for 0. */
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
 * Makes sure that the processes which are going to share a port share it with nobody else, and chooses it
 * where it is 0. The port is listened on alone for an instant, which the system refuses while anybody has it.
 * What comes between that and the processes' own listening: a program that wants the port alone, then either
 * it or they are refused; another engine of several processes, which the name kept here refuses (Linux).
 * Left is a stranger of the same user who shares ports too; nothing keeps him out at any time.
 * @throws {ConfigError} naming PORT or HOST.
 */
export async function reservePort(address: Address): Promise<ReservedPort> {
  const { host } = address;
  const port = listenAlone(address);
  const release = await keepName(`sentinel ${host}:${port}`).catch((error: unknown) => {
    throw portFault(error, { ...address, port });
  });
  return { port, release };
}

/** Listens in Linux's abstract namespace: one process of the machine has a name, until it ends in whatever way. */
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
