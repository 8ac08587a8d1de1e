import { z } from "zod";
import { plainText, visibleForm } from "../http/plain-text.ts";
import { time } from "../http/time.ts";
import type { EventDraft, EventFacts } from "../venue/catalogue.ts";
import { PRICE_TIER_LIMIT } from "../venue/layout.ts";
import { isCurrency } from "../venue/money.ts";
import {
  type Contradiction,
  layoutOf,
  point,
  SEAT_LIMIT,
  sectionDescription,
  shownSection,
  tierName,
} from "./section-description.ts";

const NAME_LIMIT_CHARACTERS = 200;
const SECTION_LIMIT = 500;

/** The minimum is shorter than anybody needs to pay; the maximum is longer than anybody should wait. */
const HOLD_TTL_SECONDS = { least: 10, most: 86_400 };
const HOLD_LIMIT_MOST_SECONDS = 7 * 86_400;
/**
 * Maximum number of seats per reservation that an event may allow. A reservation's seats share one row, one
 * batch and one answer.
 */
const RESERVATION_LIMIT_SEATS = 20;
const BUYER_LIMIT_MOST_SEATS = 100_000;
/** The largest integer that a JSON number carries exactly. */
const AMOUNT_LIMIT_MINOR = Number.MAX_SAFE_INTEGER;

/** After this many contradictions, no more sections are laid out. */
const CONTRADICTION_LIMIT = 50;

const DEFAULTS = { holdTtlSeconds: 600, holdLimitSeconds: 1800 };

const changeable = {
  name: plainText(NAME_LIMIT_CHARACTERS),
  status: z.enum(["open", "closed"]),
  onSaleAt: time.nullable(),
  offSaleAt: time.nullable(),
  holdTtlSeconds: z.int().min(HOLD_TTL_SECONDS.least).max(HOLD_TTL_SECONDS.most),
  holdLimitSeconds: z.int().min(HOLD_TTL_SECONDS.least).max(HOLD_LIMIT_MOST_SECONDS),
  reservationLimitSeats: z.int().min(1).max(RESERVATION_LIMIT_SEATS),
  buyerLimitSeats: z.int().min(1).max(BUYER_LIMIT_MOST_SEATS).nullable(),
  focalPoint: point.nullable(),
};

const newPriceTier = z
  .strictObject({ name: tierName, amountMinor: z.int().min(0).max(AMOUNT_LIMIT_MINOR) })
  .meta({ id: "NewPriceTier" });

const described = z.strictObject({
  name: changeable.name,
  currency: z.string().refine(isCurrency, "must be the ISO 4217 code of a currency, such as EUR"),
  cancellable: z.boolean().default(false),
  status: changeable.status.default("open"),
  onSaleAt: changeable.onSaleAt.default(null),
  offSaleAt: changeable.offSaleAt.default(null),
  holdTtlSeconds: changeable.holdTtlSeconds.default(DEFAULTS.holdTtlSeconds),
  holdLimitSeconds: changeable.holdLimitSeconds.optional(),
  reservationLimitSeats: changeable.reservationLimitSeats.default(RESERVATION_LIMIT_SEATS),
  buyerLimitSeats: changeable.buyerLimitSeats.default(null),
  focalPoint: changeable.focalPoint.default(null),
  priceTiers: z.array(newPriceTier).min(1).max(PRICE_TIER_LIMIT),
  sections: z.array(sectionDescription).min(1).max(SECTION_LIMIT),
});

/** The same description as the document shows it: each shape of a section has a name. */
export const shownDescription = described
  .extend({ sections: z.array(shownSection).min(1).max(SECTION_LIMIT) })
  .meta({ id: "NewEvent" });

/** Parses an admin's description of a whole event. The result can be created as it is. */
export const eventDescription = described.transform((description, context): EventDraft => {
  const { sections, onSaleAt, offSaleAt, focalPoint, holdLimitSeconds, ...same } = description;
  const draft: EventDraft = {
    ...same,
    onSaleAtMs: onSaleAt,
    offSaleAtMs: offSaleAt,
    focalX: focalPoint?.x ?? null,
    focalY: focalPoint?.y ?? null,
    holdLimitSeconds: holdLimitSeconds ?? Math.max(DEFAULTS.holdLimitSeconds, same.holdTtlSeconds),
    sections: [],
  };
  const found: Contradiction[] = [
    contradictionIn(draft) ?? [],
    twiceNamed("priceTiers", description.priceTiers) ?? [],
    twiceNamed("sections", sections) ?? [],
  ].flat();
  const tierNames = draft.priceTiers.map(({ name }) => name);
  let total = 0;
  for (const [index, section] of sections.entries()) {
    const laidOut = layoutOf(section, tierNames);
    if ("contradictions" in laidOut) {
      found.push(
        ...laidOut.contradictions.map(({ path, message }) => ({
          path: ["sections", index, ...path],
          message,
        })),
      );
      if (found.length >= CONTRADICTION_LIMIT) break;
      continue;
    }
    const { layout } = laidOut;
    total +=
      layout.kind === "general" ? layout.capacity : layout.rows.reduce((sum, row) => sum + row.seatCount, 0);
    if (total > SEAT_LIMIT) {
      found.push({ path: ["sections"], message: `must have at most ${SEAT_LIMIT} seats in all` });
      break;
    }
    draft.sections.push({ name: section.name, layout });
  }
  for (const { path, message } of found) context.addIssue({ code: "custom", path, message });
  return found.length > 0 ? z.NEVER : draft;
});

const fixed = (why: string) => z.never({ error: `cannot be changed: ${why}` }).optional();

/** Parses an admin's changes to an event. Omitted fields stay as they are. */
export const eventChange = z
  .strictObject({
    ...changeable,
    currency: fixed("the prices of its seats are in it"),
    cancellable: fixed("refusals that were final depend on it"),
    priceTiers: fixed("the seats have their prices from them"),
    sections: fixed("seats are created once, with their event"),
  })
  .partial()
  .transform(({ onSaleAt, offSaleAt, focalPoint, ...same }) => {
    const { currency: _c, cancellable: _b, priceTiers: _p, sections: _s, ...rest } = same;
    return {
      ...rest,
      ...(onSaleAt !== undefined && { onSaleAtMs: onSaleAt }),
      ...(offSaleAt !== undefined && { offSaleAtMs: offSaleAt }),
      ...(focalPoint !== undefined && { focalX: focalPoint?.x ?? null, focalY: focalPoint?.y ?? null }),
    };
  })
  .meta({ id: "EventChange" });

/** Parses a request to close an event: the actions to stop besides its sale. */
export const closing = z
  .strictObject({
    stopExtensions: z.boolean().optional(),
    stopConfirmations: z.boolean().optional(),
  })
  .meta({ id: "EventClosing" });

type Related = Pick<EventFacts, "onSaleAtMs" | "offSaleAtMs" | "holdTtlSeconds" | "holdLimitSeconds">;

/** Finds two values of an event that contradict each other, although each is valid by itself. */
export function contradictionIn(event: Related): Contradiction | undefined {
  const { onSaleAtMs, offSaleAtMs, holdTtlSeconds, holdLimitSeconds } = event;
  if (onSaleAtMs !== null && offSaleAtMs !== null && offSaleAtMs <= onSaleAtMs) {
    return { path: ["offSaleAt"], message: "must be after onSaleAt" };
  }
  if (holdLimitSeconds < holdTtlSeconds) {
    return {
      path: ["holdLimitSeconds"],
      message: `must be at least holdTtlSeconds, which is ${holdTtlSeconds}`,
    };
  }
  return undefined;
}

function twiceNamed(field: string, entries: { name: string }[]): Contradiction | undefined {
  const names = new Set<string>();
  for (const [index, { name }] of entries.entries()) {
    if (names.has(visibleForm(name)))
      return { path: [field, index, "name"], message: "must differ from all others" };
    names.add(visibleForm(name));
  }
  return undefined;
}
