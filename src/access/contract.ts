import { z } from "zod";
import { ROLES } from "../http/caller.ts";
import { type PathParameter, route } from "../http/contract.ts";
import { wholeNumber } from "../http/parameters.ts";
import { plainText } from "../http/plain-text.ts";
import { problem } from "../http/problem.ts";
import { ACT_KINDS } from "../postgres/admin-log.ts";
import { DENIAL_LIMIT } from "../postgres/denials.ts";
import { REASON_HEADER, reasonText } from "./act-origin.ts";
import { NAME_LIMIT_CHARACTERS } from "./api-key.ts";
import { callerText } from "./caller-ids.ts";
import { DENIAL_LIMIT_SECONDS } from "./denial-limits.ts";
import { parseNetwork } from "./network.ts";

/** API keys, denied callers and the administration log. */

/** The most entries in one response. */
export const PAGE_LIMIT = 1000;
const limit = wholeNumber(1, PAGE_LIMIT).describe("The most entries in one response.").default(100);

const KEY_ID = "019a9d0e-8a53-7000-a1b2-c3d4e5f60718";
const time = z.iso.datetime();
const role = z
  .enum(ROLES)
  .describe(
    "A reader can read; a seller can also take seats; an admin can also change the catalogue and the keys.",
  );

const keyShape = { keyId: z.uuid(), name: z.string(), role, createdAt: time, revokedAt: time.nullable() };
const keyExample = {
  ...{ keyId: KEY_ID, name: "box office", role: "seller" },
  ...{ createdAt: "2026-11-22T16:00:00.000Z", revokedAt: null },
};

const keys = { tag: "API keys", role: "admin" } as const;

export const createApiKey = route({
  ...keys,
  method: "POST",
  path: "/api/v1/admin/api-keys",
  operationId: "createApiKey",
  summary: "Create an API key",
  description: "Only this response contains the key; the engine keeps its hash.",
  headers: [REASON_HEADER],
  body: {
    schema: z.strictObject({ name: plainText(NAME_LIMIT_CHARACTERS), role }).meta({ id: "NewApiKey" }),
    examples: { seller: { name: "box office", role: "seller" } },
  },
  responses: {
    201: {
      description: "The key, which is shown only once.",
      body: z.object({ ...keyShape, key: z.string() }).meta({ id: "CreatedApiKey" }),
      example: { ...keyExample, key: `sentinel_${KEY_ID.replaceAll("-", "")}_\u2026` },
    },
  },
  problems: [],
});

export const listApiKeys = route({
  ...keys,
  method: "GET",
  path: "/api/v1/admin/api-keys",
  operationId: "listApiKeys",
  summary: "List API keys",
  description: "Keys in the order of their creation, including revoked ones.",
  query: z.strictObject({
    after: z.uuid("must be the id of a key").optional().describe("Only keys created after this one."),
    limit,
  }),
  responses: {
    200: {
      description: "A page of keys.",
      body: z
        .object({
          apiKeys: z.array(z.object(keyShape).meta({ id: "ApiKey" })),
          next: z.uuid().nullable().describe("The `after` of the next page; null: this is the last one."),
        })
        .meta({ id: "ApiKeyPage" }),
      example: { apiKeys: [keyExample], next: null },
    },
  },
  problems: [],
});

const uuid = z.uuid();
export const keyNotFound = () => problem("api-key-not-found", "keyId: there is no such API key.");
const keyIdParameter: PathParameter<string> = {
  read: (text) => uuid.safeParse(text).data,
  refusal: keyNotFound,
  schema: uuid,
  description: "The key's id, not the key.",
  example: KEY_ID,
};

export const revokeApiKey = route({
  ...keys,
  method: "DELETE",
  path: "/api/v1/admin/api-keys/:keyId",
  operationId: "revokeApiKey",
  summary: "Revoke an API key",
  description:
    "The key stops working in this process at once and in every other within 2 s. Revoking it again is no error.",
  params: { keyId: keyIdParameter },
  headers: [REASON_HEADER],
  responses: { 204: { description: "The key is revoked." } },
  problems: ["api-key-not-found"],
});

const administration = { tag: "Administration", role: "admin" } as const;
export const CALLER_EXAMPLE = "net:u0dqzXn3bJmC4tE5kW8s2g";

const denialExample = {
  ...{ denialId: 4713, caller: CALLER_EXAMPLE, prefixBits: null, reason: "holds half of the hall" },
  deniedUntil: "2026-11-28T21:00:00.000Z",
};
const denial = z
  .object({
    denialId: z
      .int()
      .min(1)
      .max(Number.MAX_SAFE_INTEGER)
      .describe("The id of its act in the administration log."),
    caller: callerText,
    prefixBits: z
      .int()
      .nullable()
      .describe(
        "The length of the prefix, if the denied network is wider than one client's; otherwise null.",
      ),
    reason: z.string(),
    deniedUntil: time,
  })
  .meta({ id: "Denial" });

export const listDenials = route({
  ...administration,
  method: "GET",
  path: "/api/v1/admin/denials",
  operationId: "listDenials",
  summary: "List the denials in force",
  description: "The oldest first.",
  responses: {
    200: {
      description: "The denials.",
      body: z.object({ denials: z.array(denial) }).meta({ id: "DenialList" }),
      example: { denials: [denialExample] },
    },
  },
  problems: [],
});

const network = z
  .string()
  .min(1)
  .max(64)
  .describe(
    "An IPv4 address or prefix of 8 to 32 bits, or an IPv6 address (its /64) or prefix of 16 to 64 bits. An IPv4 address that is written as an IPv6 one is that IPv4 address.",
  );
const terms = { seconds: z.int().min(1).max(DENIAL_LIMIT_SECONDS), reason: reasonText };
const newDenial = z
  .strictObject({ caller: callerText.optional(), network: network.optional(), ...terms })
  .superRefine(({ caller, network }, context) => {
    if ((caller === undefined) === (network === undefined))
      context.addIssue({ code: "custom", path: ["caller"], message: "is required, or network, not both" });
    if (network !== undefined && parseNetwork(network) === undefined)
      context.addIssue({
        code: "custom",
        path: ["network"],
        message: "must be an address or a network: IPv4 with a prefix of 8 to 32 bits, IPv6 of 16 to 64",
      });
  });

export const denyCaller = route({
  ...administration,
  method: "POST",
  path: "/api/v1/admin/denials",
  operationId: "denyCaller",
  summary: "Deny a caller for a time",
  description: [
    "The caller gets 403 with `Retry-After` from every operation except those of administrators, probes, metrics and docs: in this process at once, in every other within 2 s. The caller's open live streams end within the same time. Seats that the caller holds stay held until the hold ends or is released.",
    `\`network\` denies the callers without an API key in it; a caller with a valid key is denied by the key. Only a salted hash of the network is kept. A new denial of a caller replaces the previous one. At most ${DENIAL_LIMIT} are in force at once.`,
  ].join("\n\n"),
  body: {
    schema: newDenial,
    shown: z
      .union([
        z.strictObject({ caller: callerText, ...terms }).meta({ id: "DenialOfCaller" }),
        z.strictObject({ network, ...terms }).meta({ id: "DenialOfNetwork" }),
      ])
      .meta({ id: "NewDenial" }),
    examples: { network: { network: "203.0.113.0/24", seconds: 3600, reason: "holds half of the hall" } },
  },
  responses: { 201: { description: "The denial.", body: denial, example: denialExample } },
  problems: ["denial-limit-reached"],
});

export const denialNotFound = () => problem("denial-not-found", "denialId: there is no such denial.");
const denialIdParameter: PathParameter<number> = {
  read: (text) => {
    const denialId = Number(/^[1-9]\d{0,15}$/.exec(text)?.[0] ?? 0);
    return denialId > 0 && Number.isSafeInteger(denialId) ? denialId : undefined;
  },
  refusal: denialNotFound,
  schema: z.int().min(1).max(Number.MAX_SAFE_INTEGER),
  description: "The denial's id, from the list of denials.",
  example: 4713,
};

export const endDenial = route({
  ...administration,
  method: "DELETE",
  path: "/api/v1/admin/denials/:denialId",
  operationId: "endDenial",
  summary: "End a denial before its time",
  description: "Ending it again is no error.",
  params: { denialId: denialIdParameter },
  headers: [REASON_HEADER],
  responses: { 204: { description: "The denial has ended." } },
  problems: ["denial-not-found"],
});

const act = z
  .object({
    actId: z
      .int()
      .min(1)
      .max(Number.MAX_SAFE_INTEGER)
      .describe("The ledger rows of the changes that the act made carry this id."),
    kind: z.enum(ACT_KINDS),
    actor: z.string().describe("`key:<id>`, or `command:<user>` of a command line."),
    reason: z.string().nullable(),
    detail: z.record(z.string(), z.unknown()).describe("What was done; the members depend on the kind."),
    occurredAt: time,
  })
  .meta({ id: "AdminAct" });

export const listAdminActs = route({
  ...administration,
  method: "GET",
  path: "/api/v1/admin/log",
  operationId: "listAdminActs",
  summary: "List the acts of administrators",
  description:
    "The log is append-only, and the ledger's hash chain seals it: the `verify` command finds a row that was changed, deleted or added.",
  query: z.strictObject({
    after: wholeNumber(0, Number.MAX_SAFE_INTEGER).describe("Only acts after this one.").default(0),
    limit,
    kind: z.enum(ACT_KINDS).optional().describe("Only acts of this kind."),
  }),
  responses: {
    200: {
      description: "A page of acts, in the order of their ids.",
      body: z
        .object({
          acts: z.array(act),
          next: z.int().nullable().describe("The `after` of the next page; null: this is the last one."),
        })
        .meta({ id: "AdminActPage" }),
      example: {
        acts: [
          {
            ...{ actId: 4711, kind: "event.closed", actor: `key:${KEY_ID}`, reason: "the hall is flooded" },
            ...{ detail: { eventId: 1 }, occurredAt: "2026-11-28T20:00:00.000Z" },
          },
        ],
        next: null,
      },
    },
  },
  problems: [],
});
