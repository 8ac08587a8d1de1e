import { z } from "zod";

/** Where a value of a request stands. */
const PLACES = ["body", "query", "path", "header"] as const;
export type Place = (typeof PLACES)[number];

/** One error of a request, as validation problems carry it. */
export const fieldError = z
  .object({
    in: z.enum(PLACES).describe("The part of the request."),
    pointer: z
      .string()
      .describe("JSON Pointer (RFC 6901, as a fragment) into that part, such as `#/seatIds/0`."),
    detail: z.string().describe("What the value must be."),
  })
  .meta({ id: "FieldError" });
export type FieldError = z.output<typeof fieldError>;
