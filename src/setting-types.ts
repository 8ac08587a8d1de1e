import { z } from "zod";

/** What may stand in a variable of the environment, by kinds. */

export const integer = (low: number, high: number) =>
  z
    .string()
    .regex(/^\d+$/, `must be a whole number from ${low} to ${high}`)
    .transform(Number)
    .refine((value) => value >= low && value <= high, `must be a whole number from ${low} to ${high}`);

export const flag = z
  .enum(["true", "false"], "must be true or false")
  .transform((value): boolean => value === "true");

export const urlOf = (protocols: string[], example: string) =>
  z
    .string()
    .refine(
      (value) => URL.canParse(value) && protocols.some((protocol) => value.startsWith(`${protocol}//`)),
      `must be a URL such as ${example}`,
    );

export const listOf = <T extends z.ZodType<unknown, string>>(item: T) =>
  z
    .string()
    .transform((text) => text.split(",").map((part) => part.trim()))
    .pipe(z.array(item).min(1).max(9));

export const broker = z
  .string()
  .refine(
    (value) => /^[\w.-]+:\d{1,5}$/.test(value) && Number(value.split(":")[1]) <= 65535,
    "must be a comma-separated list of host:port",
  );
