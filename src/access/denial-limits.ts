/** Thirty days; an API key that must never act again is revoked. */
export const DENIAL_LIMIT_SECONDS = 2_592_000;
