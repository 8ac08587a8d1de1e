import { integer } from "./setting-types.ts";

/** Time to close besides the load balancers' delay: the minimum, and a default that also suits a slow database. */
const ENDING_NEEDS_MS = 500;
const ENDING_DEFAULT_MS = 13_000;

/** The settings of a shutdown. */
export const endingKnobs = {
  drainDelayMs: {
    type: integer(0, 60_000),
    // haproxy's default checks (`inter 2s fall 3`) notice after 6 s; `docker stop` kills after 10 s.
    fallback: "7000",
    shown: "7000, or half of a SHUTDOWN_TIMEOUT_MS below 14000",
    meaning:
      "on SIGTERM: how long selling continues while readiness is 503, so that load balancers notice; Ctrl-C does not wait",
  },
  shutdownTimeoutMs: {
    type: integer(ENDING_NEEDS_MS, 120_000),
    fallback: "20000",
    shown: "DRAIN_DELAY_MS + 13000",
    meaning: "on SIGTERM: everything must close within this time, or the process exits with 1",
  },
} as const;

/**
 * Fits the time that is not set to the one that is.
 * @returns an error text if both are set and do not fit together
 */
export function fitEndingTimes(
  settings: { drainDelayMs: number; shutdownTimeoutMs: number },
  environment: Record<string, string | undefined>,
): string | undefined {
  const { drainDelayMs, shutdownTimeoutMs } = settings;
  if (!environment["SHUTDOWN_TIMEOUT_MS"]) {
    settings.shutdownTimeoutMs = drainDelayMs + ENDING_DEFAULT_MS;
  } else if (!environment["DRAIN_DELAY_MS"]) {
    settings.drainDelayMs = Math.min(drainDelayMs, Math.floor(shutdownTimeoutMs / 2));
  } else if (drainDelayMs + ENDING_NEEDS_MS > shutdownTimeoutMs) {
    return `DRAIN_DELAY_MS: ${drainDelayMs} leaves less than ${ENDING_NEEDS_MS} ms of SHUTDOWN_TIMEOUT_MS, ${shutdownTimeoutMs}, to finish: lower it or raise SHUTDOWN_TIMEOUT_MS`;
  }
  return undefined;
}
