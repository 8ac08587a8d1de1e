import { type SQL, sql } from "drizzle-orm";

/**
 * Returns a condition: whether a value is among the values of a column of a CTE. It is looked up in a hash table. The
 * planner expects a single row of a batch and would join by comparing every row with every other. `is true` keeps it
 * from making such a join.
 */
export const isAmong = (value: string, column: string, cte: string): SQL =>
  sql.raw(`(${value} in (select ${column} from ${cte})) is true`);

/** Returns the opposite condition of `isAmong`. */
export const isNotAmong = (value: string, column: string, cte: string): SQL =>
  sql.raw(`(${value} in (select ${column} from ${cte})) is not true`);
