import { Elysia } from "elysia";
import { z } from "zod";
import { integer } from "../config/setting-types.ts";
import { fromDatabase } from "../http/from-database.ts";
import { invalidField } from "../http/invalid-field.ts";
import { readJson } from "../http/json-body.ts";
import { observed, observedWithQuery } from "../http/observed.ts";
import { plainText } from "../http/plain-text.ts";
import { problem } from "../http/problem.ts";
import { type ApiKeyView, addApiKey, listApiKeys, revokeApiKey } from "../postgres/api-keys.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Access } from "./access.ts";
import { actOriginOf } from "./act-origin.ts";
import { makeApiKey, NAME_LIMIT_CHARACTERS, ROLES } from "./api-key.ts";
import { createDetail, listDetail, PAGE_LIMIT, revokeDetail } from "./openapi.ts";

const PATH = "/api/v1/admin/api-keys";

const newKey = z.strictObject({ name: plainText(NAME_LIMIT_CHARACTERS), role: z.enum(ROLES) });
const page = z.strictObject({
  after: z.uuid("must be the id of a key").optional(),
  limit: integer(1, PAGE_LIMIT).default(100),
});

const wire = ({ createdAt, revokedAt, ...key }: ApiKeyView) => ({
  ...key,
  createdAt: createdAt.toISOString(),
  revokedAt: revokedAt?.toISOString() ?? null,
});

export interface AccessRoutesOptions extends Access {
  bodyLimitBytes: number;
  metrics: Metrics;
  log: Logger;
}

/** Administrators make and revoke API keys; a key is shown once, in the answer that makes it. */
export function accessRoutes({ keys, guard, database, bodyLimitBytes, metrics, log }: AccessRoutesOptions) {
  const inDatabase = fromDatabase({ log, what: "what is done with API keys" });
  return new Elysia({ name: "access" })
    .post(
      ...observed(
        metrics,
        PATH,
        guard.guarded("admin", async ({ request }, caller) => {
          // A replay would have to show the key again, of which nothing but a hash is kept.
          if (request.headers.has("idempotency-key")) {
            return problem(
              "invalid-request",
              "Idempotency-Key: is not taken here, since a key is shown once; revoke one whose answer was lost.",
            );
          }
          const body = await readJson(request, newKey, bodyLimitBytes);
          if (body.problem) return body.problem;
          const origin = actOriginOf(request, caller);
          if (origin instanceof Response) return origin;
          const { id, key, keyHash } = makeApiKey();
          return inDatabase(async () => {
            const added = await addApiKey(database, { id, keyHash, ...body.value }, origin);
            const headers = { "cache-control": "no-store" };
            return Response.json({ ...wire(added), key }, { status: 201, headers });
          });
        }),
      ),
      { parse: "none", detail: createDetail },
    )
    .get(
      ...observedWithQuery(
        metrics,
        PATH,
        guard.guarded("admin", ({ query }) => {
          const parsed = page.safeParse(query, { error: invalidField.message });
          if (!parsed.success) return problem("invalid-request", invalidField.detail(parsed.error));
          const { after, limit } = parsed.data;
          return inDatabase(async () => {
            const found = await listApiKeys(database, { after, limit });
            return {
              apiKeys: found.map(wire),
              next: found.length === limit ? (found.at(-1)?.keyId ?? null) : null,
            };
          });
        }),
      ),
      { detail: listDetail },
    )
    .delete(
      ...observed(
        metrics,
        `${PATH}/:keyId`,
        guard.guarded("admin", ({ request, params }, caller) => {
          const keyId = z.uuid().safeParse(params.keyId).data;
          const notFound = () => problem("api-key-not-found", "keyId: there is no such API key.");
          if (keyId === undefined) return notFound();
          const origin = actOriginOf(request, caller);
          if (origin instanceof Response) return origin;
          return inDatabase(async () => {
            if (!(await revokeApiKey(database, keyId, origin))) return notFound();
            keys.forget(keyId);
            return new Response(null, { status: 204 });
          });
        }),
      ),
      { detail: revokeDetail },
    );
}
