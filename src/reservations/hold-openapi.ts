import { nameOfOneSchema, plainTextSchema } from "../http/plain-text.ts";
import {
  BUYER_ID_LIMIT_CHARACTERS,
  NAME_LIMIT_CHARACTERS,
  PREFERENCE_LIMIT,
  RESERVATION_LIMIT_SEATS,
  SECTION_LIMIT,
} from "./hold-body.ts";

export const id: object = { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER };
const name = plainTextSchema(NAME_LIMIT_CHARACTERS);
const names: object = { type: "array", items: name, minItems: 1, maxItems: SECTION_LIMIT };
const quantity: object = { type: "integer", minimum: 1, maximum: RESERVATION_LIMIT_SEATS };

const closed = (required: string[], properties: Record<string, object>) => ({
  ...{ type: "object", required, additionalProperties: false, properties },
});

const wish = {
  seatIds: { type: "array", items: id, minItems: 1, maxItems: RESERVATION_LIMIT_SEATS, uniqueItems: true },
  section: { ...name, description: "A section of general admission, by name; with `quantity`." },
  quantity,
  bestAvailable: closed(["quantity"], {
    quantity,
    sections: { ...names, description: "Any of these; all sections with numbered seats, where missing." },
    priceTiers: { ...names, description: "Any of these; all, where missing." },
    adjacency: { type: "string", enum: ["required", "preferred"], default: "preferred" },
    accessible: { type: "string", enum: ["only", "any", "avoid"], default: "avoid" },
  }),
};
const bySeats = { seatIds: wish.seatIds };
const bySection = { section: wish.section, quantity };
const byQuality = { bestAvailable: wish.bestAvailable };

const ofWhat = { eventId: id };
const forWhom = {
  buyerId: {
    ...nameOfOneSchema(BUYER_ID_LIMIT_CHARACTERS),
    description:
      "Required if the event limits its buyers. It is normalised: composed (NFC), trimmed, each run of spaces as one, without invisible characters. Letters that only look alike are different buyers.",
  },
};
const preferences = {
  type: "array",
  ...{ minItems: 1, maxItems: PREFERENCE_LIMIT },
  items: {
    oneOf: [
      closed(["seatIds"], bySeats),
      closed(["section", "quantity"], bySection),
      closed(["bestAvailable"], byQuality),
    ],
  },
  description: "In the order of preference; with `eventId`, unless all are seatIds.",
};
const schema: object = {
  oneOf: [
    closed(["seatIds"], { ...ofWhat, ...bySeats, ...forWhom }),
    closed(["eventId", "section", "quantity"], { ...ofWhat, ...bySection, ...forWhom }),
    closed(["eventId", "bestAvailable"], { ...ofWhat, ...byQuality, ...forWhom }),
    closed(["preferences"], { ...ofWhat, preferences, ...forWhom }),
  ],
};

/** What is asked to be held, in the API's document: exactly one of the four ways. */
export const holdBody = {
  required: true,
  content: {
    "application/json": {
      schema,
      examples: {
        bestAvailable: { value: { eventId: 1, bestAvailable: { quantity: 2 } } },
        seatIds: { value: { seatIds: [24, 25], buyerId: "customer-4711" } },
        preferences: {
          value: {
            eventId: 1,
            preferences: [
              { seatIds: [24, 25] },
              { bestAvailable: { quantity: 2, sections: ["Hall"], adjacency: "required" } },
            ],
          },
        },
      },
    },
  },
};
