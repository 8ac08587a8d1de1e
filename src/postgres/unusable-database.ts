/** A database that answers but cannot be sold from. The message follows the database's address and says what to do. */
export class UnusableDatabase extends Error {}
