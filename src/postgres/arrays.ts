/** An array as Postgres reads it. Numbers, booleans and UUIDs need no quotes, whose search took pg a tenth of the batch's CPU time. */
export const arrayOf = (values: (number | string | boolean)[]) => `{${values.join()}}`;
