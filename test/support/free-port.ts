import { createServer } from "node:net";

/**
 * Below every system's range for outgoing connections: a client that keeps trying a dead server's port could
 * otherwise be given that very port as its own, connect to itself, and keep the server from coming back.
 */
const LOWEST_PORT = 20_000;
const HIGHEST_PORT = 32_000;
/** Test processes that run side by side (`test/run/main.ts`) take their ports from different parts of the range. */
const LANE_PORTS = 3_000;
const ATTEMPT_LIMIT = 100;

const { SENTINEL_TEST_LANE } = process.env;
const lowest =
  SENTINEL_TEST_LANE === undefined ? LOWEST_PORT : LOWEST_PORT + Number(SENTINEL_TEST_LANE) * LANE_PORTS;
const highest = SENTINEL_TEST_LANE === undefined ? HIGHEST_PORT : lowest + LANE_PORTS;

const given = new Set<number>();

/** A port of 127.0.0.1 that nobody listens on now and that was not given out before by this process. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPT_LIMIT; attempt++) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest));
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`no free port from ${lowest} to ${highest} in ${ATTEMPT_LIMIT} attempts`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
