import { z } from "zod";

/** Control characters, including NUL, which Postgres refuses in any text. */
const CONTROL = /\p{Cc}/u;

const CONTROLS = "\\u0000-\\u001f\\u007f-\\u009f";
/** The byte order mark is a space to JavaScript, but not to every language that reads the document. */
const SPACES = "\\s\\ufeff";
/**
 * Invisible characters: joiners, direction marks, soft hyphens, fillers, variation selectors, the byte order
 * mark. Also the marks around annotations and the empty Braille cell, which Unicode does not count among
 * them.
 */
const INVISIBLE = /[\p{Default_Ignorable_Code_Point}\ufff9-\ufffb\u2800]/gu;
const SEEN = /[^\s\p{Default_Ignorable_Code_Point}\ufff9-\ufffb\u2800]/u;
const INVISIBLES =
  "\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u202a-\\u202e\\u2060-\\u206f\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb\\u2800";
const ANY = `[^${CONTROLS}]`;
const NO_SPACE = `[^${CONTROLS}${SPACES}]`;
const VISIBLE = `[^${CONTROLS}${SPACES}${INVISIBLES}]`;
/** The rules of the two kinds of text as patterns for the API's document. At least one character must be visible. */
const PATTERN = `^(${NO_SPACE}${ANY}*)?${VISIBLE}(${ANY}*${NO_SPACE})?$`;
const NAME_OF_ONE_PATTERN = `^${ANY}*${VISIBLE}${ANY}*$`;
const UNSEEN = "must have a character that can be seen";

const plain = (leastCharacters: number, limitCharacters: number) =>
  z
    .string()
    .min(leastCharacters)
    .max(limitCharacters)
    .refine(
      (text) => text.isWellFormed() && !CONTROL.test(text) && text.trim() === text,
      "must be plain text: no control characters, no half of a surrogate pair, no space around it",
    )
    .refine((text) => text === "" || SEEN.test(text), UNSEEN)
    .meta({ pattern: leastCharacters === 0 ? `^$|${PATTERN}` : PATTERN })
    .transform((text) => text.normalize("NFC"));

/**
 * Text in a request that may be stored and shown: of bounded length, with a visible character, without
 * control characters or broken Unicode. The result is composed (NFC), so that two ways to write the same text
 * are equal.
 */
export const plainText = (limitCharacters: number) => plain(1, limitCharacters);

/** Same as `plainText`, or empty. */
export const plainTextOrNone = (limitCharacters: number) => plain(0, limitCharacters);

/**
 * Returns text as its readers see it: composed (NFC), without invisible characters, trimmed, each run of
 * spaces as one space. Different letters that look alike stay different.
 */
export const visibleForm = (text: string): string =>
  text.replace(INVISIBLE, "").normalize("NFC").replace(/\s+/gu, " ").trim();

/** The name of one person or account, in its visible form, so that variants of it count as one. */
export const nameOfOne = (limitCharacters: number) =>
  z
    .string()
    .min(1)
    .max(limitCharacters)
    .refine(
      (text) => text.isWellFormed() && !CONTROL.test(text),
      "must be text without control characters or half of a surrogate pair",
    )
    .meta({ pattern: NAME_OF_ONE_PATTERN })
    .transform(visibleForm)
    .refine((text) => text !== "", UNSEEN)
    .refine((text) => text.length <= limitCharacters, `must have at most ${limitCharacters} characters`);
