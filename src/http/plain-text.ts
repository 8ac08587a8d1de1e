import { z } from "zod";

/** Control characters, NUL among them, which Postgres refuses in any text. */
const CONTROL = /\p{Cc}/u;

const CONTROLS = "\\u0000-\\u001f\\u007f-\\u009f";
/** The byte order mark is a space to JavaScript, but not to every language that reads the document. */
const SPACES = "\\s\\ufeff";
/** The same rule, as the API's document tells it. */
const PATTERN = `^[^${CONTROLS}${SPACES}]([^${CONTROLS}]*[^${CONTROLS}${SPACES}])?$`;

/** Text in a request that may be stored and shown: of bounded length, without control characters or broken Unicode. */
export const plainText = (limitCharacters: number) =>
  z
    .string()
    .min(1)
    .max(limitCharacters)
    .refine(
      (text) => text.isWellFormed() && !CONTROL.test(text) && text.trim() === text,
      "must be plain text: no control characters, no half of a surrogate pair, no space around it",
    )
    .meta({ pattern: PATTERN });

/** It in the API's document, where the schema that checks is not shown itself. */
export const plainTextSchema = (limitCharacters: number) =>
  ({ type: "string", minLength: 1, maxLength: limitCharacters, pattern: PATTERN }) as const;
