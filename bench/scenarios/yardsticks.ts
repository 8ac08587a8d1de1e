/** The connections at which the engine sells most, also used by scenarios about something else. */
export const PEAK_CONNECTIONS = 256;

/** The rate that others at as many connections are compared with. */
export const constantAt = (connections: number) => `bare Elysia at ${connections}`;
