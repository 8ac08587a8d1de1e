import { z } from "zod";
import { id } from "../http/parameters.ts";
import { nameOfOne, plainText } from "../http/plain-text.ts";

/**
 * Maximum number of seats of a reservation, whatever its event allows. A batch carries at least one whole
 * reservation.
 */
const RESERVATION_LIMIT_SEATS = 20;
const PREFERENCE_LIMIT = 10;
const SECTION_LIMIT = 100;
export const NAME_LIMIT_CHARACTERS = 200;
export const BUYER_ID_LIMIT_CHARACTERS = 255;

const quantity = z.number().int().min(1).max(RESERVATION_LIMIT_SEATS);
const name = plainText(NAME_LIMIT_CHARACTERS);
const buyerId = nameOfOne(BUYER_ID_LIMIT_CHARACTERS);
const names = z.array(name).min(1).max(SECTION_LIMIT);

const seatIds = z
  .array(id)
  .min(1)
  .max(RESERVATION_LIMIT_SEATS)
  .refine((ids) => ids.length === 1 || new Set(ids).size === ids.length, "must not name a seat twice");

const bestAvailable = z.strictObject({
  quantity,
  sections: names.optional(),
  priceTiers: names.optional(),
  adjacency: z.enum(["required", "preferred"]).default("preferred"),
  accessible: z.enum(["only", "any", "avoid"]).default("avoid"),
});

/** The three ways to choose seats. Exactly one must be given. */
const wish = {
  seatIds: seatIds.optional(),
  section: name.optional(),
  quantity: quantity.optional(),
  bestAvailable: bestAvailable.optional(),
};

const wishSchema = z.strictObject(wish).superRefine((given, context) => oneWish(given, context));

export const holdSchema = z
  .strictObject({
    eventId: id.optional(),
    ...wish,
    preferences: z.array(wishSchema).min(1).max(PREFERENCE_LIMIT).optional(),
    buyerId: buyerId.optional(),
  })
  .superRefine((given, context) => {
    const { eventId, preferences } = given;
    if (!preferences) oneWish(given, context);
    else if (given.seatIds || given.section || given.quantity || given.bestAvailable) {
      refuse(context, "preferences", "must stand alone, without seatIds, section or bestAvailable beside it");
    }
    const needsEvent = (preferences ?? [given]).some((each) => each.section || each.bestAvailable);
    if (needsEvent && eventId === undefined) refuse(context, "eventId", "is required for this");
  });

/** The same as four shapes with names, of which exactly one fits. */
const shownWish = {
  seatIds: seatIds.meta({ uniqueItems: true }),
  section: name.describe("A section of general admission, by name."),
};
const shownBest = bestAvailable
  .extend({
    sections: bestAvailable.shape.sections.describe(
      "Any of these; absent: all sections with numbered seats.",
    ),
    priceTiers: bestAvailable.shape.priceTiers.describe("Any of these; absent: all."),
  })
  .meta({ id: "BestAvailable" });
const bySeats = { seatIds: shownWish.seatIds };
const inSection = { section: shownWish.section, quantity };
const byBest = { bestAvailable: shownBest };
const preference = z.union([
  z.strictObject(bySeats).meta({ id: "SeatsWish" }),
  z.strictObject(inSection).meta({ id: "SectionWish" }),
  z.strictObject(byBest).meta({ id: "BestAvailableWish" }),
]);
const buyer = {
  buyerId: buyerId
    .optional()
    .describe(
      "Required if the event limits its buyers. It is normalised: composed (NFC), trimmed, each run of spaces as one, without invisible characters. Letters that only look alike are different buyers.",
    ),
};
const shownHold = z
  .union([
    z.strictObject({ eventId: id.optional(), ...bySeats, ...buyer }).meta({ id: "HoldOfSeats" }),
    z.strictObject({ eventId: id, ...inSection, ...buyer }).meta({ id: "HoldInSection" }),
    z.strictObject({ eventId: id, ...byBest, ...buyer }).meta({ id: "HoldOfBestAvailable" }),
    z
      .strictObject({
        eventId: id.optional().describe("Required unless all preferences are seatIds."),
        preferences: z.array(preference).min(1).max(PREFERENCE_LIMIT).describe("In the order of preference."),
        ...buyer,
      })
      .meta({ id: "HoldByPreference" }),
  ])
  .meta({ id: "HoldRequest" });

/** The body of a request for a hold: the schema that checks it, and the schema that the document shows. */
export const holdRequest = { schema: holdSchema, shown: shownHold };

export type HoldBody = z.output<typeof holdSchema>;
export type Wish = z.output<typeof wishSchema>;

/** Returns the wishes in the order of the buyer's preference. */
export function wishesOf({ preferences, seatIds, section, quantity, bestAvailable }: HoldBody): Wish[] {
  return preferences ?? [{ seatIds, section, quantity, bestAvailable }];
}

function oneWish({ seatIds, section, quantity, bestAvailable }: Wish, context: z.RefinementCtx): void {
  const given = [seatIds, section, bestAvailable].filter((each) => each !== undefined);
  if (given.length === 0)
    refuse(context, "seatIds", "is required, or section with quantity, or bestAvailable");
  else if (given.length > 1)
    refuse(
      context,
      bestAvailable ? "bestAvailable" : "section",
      "must stand alone: one of seatIds, section, bestAvailable",
    );
  else if (section !== undefined && quantity === undefined)
    refuse(context, "quantity", "is required beside section");
  else if (section === undefined && quantity !== undefined)
    refuse(context, "quantity", "belongs beside section, or into bestAvailable");
}

function refuse(context: z.RefinementCtx, field: string, message: string): void {
  context.addIssue({ code: "custom", path: [field], message });
}
