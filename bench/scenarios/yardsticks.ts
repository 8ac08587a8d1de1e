/** Where the engine sells most, the scenarios that are about something else are measured too. */
export const PEAK_CONNECTIONS = 256;

/** The rate that others at as many connections are compared with. */
export const constantAt = (connections: number) => `bare Elysia at ${connections}`;
