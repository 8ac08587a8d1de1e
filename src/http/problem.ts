import type { FieldError, Place } from "./field-error.ts";
import { helpOf, type MembersOf, PROBLEMS, type ProblemSlug, typeOf } from "./problems.ts";

declare const slugOf: unique symbol;

/** A response that carries one of these problems; a route's contract names those it may answer with. */
export type ProblemResponse<Slug extends ProblemSlug> = Response & { readonly [slugOf]?: Slug };

type Rest<Slug extends ProblemSlug> =
  Record<never, never> extends MembersOf<Slug>
    ? [headers?: Record<string, string>, members?: MembersOf<Slug>]
    : [headers: Record<string, string>, members: MembersOf<Slug>];

/**
 * An error response after RFC 9457. The detail is for the caller: it names the field and what to do, and never carries
 * anything from inside the engine.
 */
export function problem<Slug extends ProblemSlug>(
  slug: Slug,
  detail: string,
  ...[headers = {}, members]: Rest<Slug>
): ProblemResponse<Slug> {
  return Response.json(problemBody(slug, detail, members), {
    status: PROBLEMS[slug].status,
    headers: { "content-type": "application/problem+json", ...headers },
  });
}

/** The body of an error response; the API's document shows the same. */
export function problemBody(slug: ProblemSlug, detail: string, members: object = {}) {
  const { status, title } = PROBLEMS[slug];
  return { type: typeOf(slug), title, status, detail, ...members, help: helpOf(slug) };
}

/** Most errors that one response names. */
const ERRORS_LIMIT = 50;

/** One value of a request that is not valid: where it stands, and what it must be, without the full stop. */
export interface ValueFault {
  path: readonly PropertyKey[];
  message: string;
}

/** The 400 that names every fault; its detail repeats the first, as `seatIds.0: must be a whole number.` */
export function invalid(
  place: Place,
  faults: readonly ValueFault[],
  headers: Record<string, string> = {},
): ProblemResponse<"invalid-request"> {
  const errors = faults.slice(0, ERRORS_LIMIT).map(
    ({ path, message }): FieldError => ({
      in: place,
      pointer: ["#", ...path.map(pointerPart)].join("/"),
      detail: `${message}.`,
    }),
  );
  const [first] = faults;
  const field = first?.path.map(shown).join(".") || place;
  return problem("invalid-request", `${field}: ${first?.message ?? "is not valid"}.`, headers, { errors });
}

/** The same for one value. */
export const invalidValue = (
  place: Place,
  name: string,
  message: string,
  headers: Record<string, string> = {},
) => invalid(place, [{ path: name === "" ? [] : name.split("."), message }], headers);

/** The same from a detail, such as `seatIds.0: must be a whole number.` */
export function invalidDetail(place: Place, detail: string): ProblemResponse<"invalid-request"> {
  const [, name = "", message = detail] = /^([^:\s]+): (.*?)\.?$/s.exec(detail) ?? [];
  return invalidValue(place, name, message);
}

/** Longest part of a path that is repeated to the caller: its names may be the caller's own. */
const SHOWN_LIMIT_CHARACTERS = 60;
const shown = (part: PropertyKey) => String(part).slice(0, SHOWN_LIMIT_CHARACTERS);
/** RFC 6901, section 6: escaped for the pointer, then for the fragment. */
const pointerPart = (part: PropertyKey) =>
  encodeURIComponent(shown(part).toWellFormed().replaceAll("~", "~0").replaceAll("/", "~1"));
