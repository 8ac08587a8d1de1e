import { reply } from "../http/contract.ts";
import { fromDatabase } from "../http/from-database.ts";
import { invalidValue, problem } from "../http/problem.ts";
import type { Route, Serve } from "../http/route.ts";
import { type Act, listActs } from "../postgres/admin-log.ts";
import {
  type ApiKeyView,
  addApiKey,
  listApiKeys as readApiKeys,
  revokeApiKey as revoke,
} from "../postgres/api-keys.ts";
import {
  DENIAL_LIMIT,
  type Denial,
  denyCaller as deny,
  endDenial as end,
  readDenials,
} from "../postgres/denials.ts";
import type { Logger } from "../telemetry/log.ts";
import { actOriginOf } from "./act-origin.ts";
import { makeApiKey } from "./api-key.ts";
import {
  createApiKey,
  denialNotFound,
  denyCaller,
  endDenial,
  keyNotFound,
  listAdminActs,
  listApiKeys,
  listDenials,
  revokeApiKey,
} from "./contract.ts";
import { parseNetwork } from "./network.ts";
import type { Access } from "./open.ts";

export interface AccessRoutesOptions extends Access {
  serve: Serve;
  log: Logger;
}

/** Administrators make and revoke API keys, deny callers, and read what administrators did. */
export const accessRoutes = (options: AccessRoutesOptions): Route[] => [
  ...keyRoutes(options),
  ...denialRoutes(options),
  logRoute(options),
];

const wireKey = ({ createdAt, revokedAt, ...key }: ApiKeyView) => ({
  ...key,
  createdAt: createdAt.toISOString(),
  revokedAt: revokedAt?.toISOString() ?? null,
});

/** A key is shown once, in the response that makes it. */
function keyRoutes({ serve, keys, database, log }: AccessRoutesOptions): Route[] {
  const inDatabase = fromDatabase({ log, what: "what is done with API keys" });
  return [
    serve(createApiKey, ({ request, body }, caller) => {
      // A replay would have to show the key again, of which only a hash is kept.
      if (request.headers.has("idempotency-key"))
        return invalidValue(
          "header",
          "Idempotency-Key",
          "is not supported here, because a key is shown only once; revoke a key whose response was lost",
        );
      const origin = actOriginOf(request, caller);
      if (origin instanceof Response) return origin;
      const { id, key, keyHash } = makeApiKey();
      return inDatabase(async () => {
        const added = await addApiKey(database, { id, keyHash, ...body }, origin);
        return reply(createApiKey, 201, { ...wireKey(added), key }, { "cache-control": "no-store" });
      });
    }),
    serve(listApiKeys, ({ query: { after, limit } }) =>
      inDatabase(async () => {
        const found = await readApiKeys(database, { after, limit });
        return {
          apiKeys: found.map(wireKey),
          next: found.length === limit ? (found.at(-1)?.keyId ?? null) : null,
        };
      }),
    ),
    serve(revokeApiKey, ({ request, params: { keyId } }, caller) => {
      const origin = actOriginOf(request, caller);
      if (origin instanceof Response) return origin;
      return inDatabase(async () => {
        if (!(await revoke(database, keyId, origin))) return keyNotFound();
        keys.forget(keyId);
        return reply(revokeApiKey, 204, null);
      });
    }),
  ];
}

const wireDenial = ({ deniedUntilMs, secondsLeft: _, ...denial }: Denial) => ({
  ...denial,
  deniedUntil: new Date(deniedUntilMs).toISOString(),
});

function denialRoutes({ serve, denials, callerIds, database, log }: AccessRoutesOptions): Route[] {
  const inDatabase = fromDatabase({ log, what: "what is done with denials" });
  /** Puts a change into force in this process at once; other processes read it within 2 s. */
  const takeIn = () => denials.refresh().catch(() => undefined);
  return [
    serve(listDenials, () =>
      inDatabase(async () => ({ denials: (await readDenials(database)).map(wireDenial) })),
    ),
    serve(denyCaller, ({ request, body }, caller) => {
      const { seconds, reason } = body;
      const origin = actOriginOf(request, caller, reason);
      if (origin instanceof Response) return origin;
      const network = body.network === undefined ? undefined : parseNetwork(body.network);
      const denied = network
        ? { caller: callerIds.ofNetwork(network.prefix), prefixBits: network.bits }
        : { caller: body.caller ?? "", prefixBits: null };
      return inDatabase(async () => {
        const denial = await deny(database, { ...denied, seconds }, { ...origin, reason });
        if (!denial)
          return problem(
            "denial-limit-reached",
            `${DENIAL_LIMIT} callers are denied already: end some, or deny a wider network.`,
          );
        await takeIn();
        return reply(denyCaller, 201, wireDenial(denial));
      });
    }),
    serve(endDenial, ({ request, params: { denialId } }, caller) => {
      const origin = actOriginOf(request, caller);
      if (origin instanceof Response) return origin;
      return inDatabase(async () => {
        if (!(await end(database, denialId, origin))) return denialNotFound();
        await takeIn();
        return reply(endDenial, 204, null);
      });
    }),
  ];
}

const wireAct = ({ occurredAt, ...act }: Act) => ({ ...act, occurredAt: occurredAt.toISOString() });

function logRoute({ serve, database, log }: AccessRoutesOptions): Route {
  const inDatabase = fromDatabase({ log, what: "what is asked about the administration log" });
  return serve(listAdminActs, ({ query }) =>
    inDatabase(async () => {
      const acts = await listActs(database, query);
      return {
        acts: acts.map(wireAct),
        next: acts.length === query.limit ? (acts.at(-1)?.actId ?? null) : null,
      };
    }),
  );
}
