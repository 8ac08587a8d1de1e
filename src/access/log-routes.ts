import { Elysia } from "elysia";
import { z } from "zod";
import { integer } from "../config/setting-types.ts";
import { fromDatabase } from "../http/from-database.ts";
import { invalidField } from "../http/invalid-field.ts";
import { observedWithQuery } from "../http/observed.ts";
import { problem } from "../http/problem.ts";
import { ACT_KINDS, type Act, listActs } from "../postgres/admin-log.ts";
import { logDetail } from "./log-openapi.ts";
import { PAGE_LIMIT } from "./openapi.ts";
import type { AccessRoutesOptions } from "./routes.ts";

const PATH = "/api/v1/admin/log";

const page = z.strictObject({
  after: integer(0, Number.MAX_SAFE_INTEGER).default(0),
  limit: integer(1, PAGE_LIMIT).default(100),
  kind: z.enum(ACT_KINDS).optional(),
});

const wire = ({ occurredAt, ...act }: Act) => ({ ...act, occurredAt: occurredAt.toISOString() });

/** Administrators read what administrators did. */
export function logRoutes({ guard, database, metrics, log }: Omit<AccessRoutesOptions, "bodyLimitBytes">) {
  const inDatabase = fromDatabase({ log, what: "what is asked about the administration log" });
  return new Elysia({ name: "administration log" }).get(
    ...observedWithQuery(
      metrics,
      PATH,
      guard.guarded("admin", ({ query }) => {
        const parsed = page.safeParse(query, { error: invalidField.message });
        if (!parsed.success) return problem("invalid-request", invalidField.detail(parsed.error));
        return inDatabase(async () => {
          const acts = await listActs(database, parsed.data);
          return {
            acts: acts.map(wire),
            next: acts.length === parsed.data.limit ? (acts.at(-1)?.actId ?? null) : null,
          };
        });
      }),
    ),
    { detail: logDetail },
  );
}
