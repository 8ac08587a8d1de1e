import { Elysia } from "elysia";
import { z } from "zod";
import { fromDatabase } from "../http/from-database.ts";
import { readJson } from "../http/json-body.ts";
import { observed } from "../http/observed.ts";
import { problem } from "../http/problem.ts";
import { DENIAL_LIMIT, type Denial, denyCaller, endDenial, readDenials } from "../postgres/denials.ts";
import { actOriginOf, reasonText } from "./act-origin.ts";
import { callerText } from "./caller-ids.ts";
import { DENIAL_LIMIT_SECONDS } from "./denial-limits.ts";
import { denialsDetail, denyDetail, endDenialDetail } from "./denial-openapi.ts";
import { parseNetwork } from "./network.ts";
import type { AccessRoutesOptions } from "./routes.ts";

const PATH = "/api/v1/admin/denials";

const newDenial = z
  .strictObject({
    caller: callerText.optional(),
    network: z.string().min(1).max(64).optional(),
    seconds: z.number().int().min(1).max(DENIAL_LIMIT_SECONDS),
    reason: reasonText,
  })
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

const wire = ({ deniedUntilMs, secondsLeft: _, ...denial }: Denial) => ({
  ...denial,
  deniedUntil: new Date(deniedUntilMs).toISOString(),
});

/** Administrators deny callers for a time. */
export function denialRoutes({
  guard,
  denials,
  callerIds,
  database,
  bodyLimitBytes,
  metrics,
  log,
}: AccessRoutesOptions) {
  const ask = fromDatabase({ log, what: "what is done with denials" });
  /** Puts a change into force in this process at once; other processes read it within 2 s. */
  const takeIn = () => denials.refresh().catch(() => undefined);
  return new Elysia({ name: "denials" })
    .get(
      ...observed(
        metrics,
        PATH,
        guard.guarded("admin", () => ask(async () => ({ denials: (await readDenials(database)).map(wire) }))),
      ),
      { detail: denialsDetail },
    )
    .post(
      ...observed(
        metrics,
        PATH,
        guard.guarded("admin", async ({ request }, caller) => {
          const body = await readJson(request, newDenial, bodyLimitBytes);
          if (body.problem) return body.problem;
          const { seconds, reason } = body.value;
          const origin = actOriginOf(request, caller, reason);
          if (origin instanceof Response) return origin;
          const network = body.value.network === undefined ? undefined : parseNetwork(body.value.network);
          const denied = network
            ? { caller: callerIds.ofNetwork(network.prefix), prefixBits: network.bits }
            : { caller: body.value.caller ?? "", prefixBits: null };
          return ask(async () => {
            const denial = await denyCaller(database, { ...denied, seconds }, { ...origin, reason });
            if (!denial)
              return problem(
                "denial-limit-reached",
                `${DENIAL_LIMIT} callers are denied already: end some, or deny a wider network.`,
              );
            await takeIn();
            return Response.json(wire(denial), { status: 201 });
          });
        }),
      ),
      { parse: "none", detail: denyDetail },
    )
    .delete(
      ...observed(
        metrics,
        `${PATH}/:denialId`,
        guard.guarded("admin", ({ request, params }, caller) => {
          const denialId = Number(/^[1-9]\d{0,15}$/.exec(params.denialId ?? "")?.[0] ?? 0);
          const notFound = () => problem("denial-not-found", "denialId: there is no such denial.");
          if (denialId === 0 || !Number.isSafeInteger(denialId)) return notFound();
          const origin = actOriginOf(request, caller);
          if (origin instanceof Response) return origin;
          return ask(async () => {
            if (!(await endDenial(database, denialId, origin))) return notFound();
            await takeIn();
            return new Response(null, { status: 204 });
          });
        }),
      ),
      { detail: endDenialDetail },
    );
}
