/** Formats an array for Postgres, without quotes. pg quotes every value, which took a tenth of a batch's CPU time. */
export const arrayOf = (values: (number | string | boolean)[]) => `{${values.join()}}`;
