/** Thirty days. To stop an API key permanently, revoke it. */
export const DENIAL_LIMIT_SECONDS = 2_592_000;
