/**
 * The database responds but the engine cannot use it. The message follows the database's address and says
 * what to do.
 */
export class UnusableDatabase extends Error {}
