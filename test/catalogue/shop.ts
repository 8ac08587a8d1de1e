import { beforeAll } from "bun:test";
import { makeApiKey } from "../../src/access/api-key.ts";
import { UNLIMITED } from "../engine/reservations.ts";
import { useStack } from "../fixtures/stack.ts";
import { openSelling, type Selling } from "../fixtures/use-engine.ts";

/** A whole engine with an admin's key, on a database of its own with the demo event. */
interface Shop extends Selling {
  get(path: string, headers?: Record<string, string>): Promise<Answer>;
  /** As the admin, with a JSON body where there is one. */
  admin(method: string, path: string, body?: unknown): Promise<Answer>;
  /** Sends any body as the admin. */
  send(path: string, init: RequestInit): Promise<Answer>;
}

export interface Answer {
  status: number;
  headers: Headers;
  bytes: Uint8Array;
  text: string;
  /** Parsed where it is JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into answers freely
  body: any;
}

/** The shop of a test file. */
export function useShop(): Shop {
  const stack = useStack();
  const shop = {} as Shop;
  beforeAll(async () => void Object.assign(shop, await openShop(stack)));
  return shop;
}

async function openShop(stack: AsyncDisposableStack): Promise<Shop> {
  const selling = await openSelling(stack, { env: UNLIMITED });
  const { facts, url } = selling;
  const { id, key, keyHash } = makeApiKey();
  await facts.query("insert into api_keys (id, name, role, key_hash) values ($1, 'of a test', 'admin', $2)", [
    id,
    keyHash,
  ]);
  const authorization = `Bearer ${key}`;
  const ask = async (path: string, init: RequestInit): Promise<Answer> => {
    const response = await fetch(url + path, init);
    const bytes = new Uint8Array(await response.arrayBuffer());
    const text = new TextDecoder().decode(bytes);
    const isJson = /json/.test(response.headers.get("content-type") ?? "");
    return {
      ...{ status: response.status, headers: response.headers, bytes, text },
      body: isJson ? JSON.parse(text) : undefined,
    };
  };
  return {
    ...selling,
    get: (path, headers = {}) => ask(path, { headers }),
    admin: (method, path, body) =>
      ask(path, {
        method,
        headers: { authorization, ...(body === undefined ? {} : { "content-type": "application/json" }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    send: (path, init) => ask(path, { ...init, headers: { authorization, ...init.headers } }),
  };
}

/** A small house: 3 rows of 4 and a standing area, in two prices. */
export const SMALL_HOUSE = {
  name: "A small house",
  currency: "EUR",
  cancellable: true,
  priceTiers: [
    { name: "Front", amountMinor: 9000 },
    { name: "Back", amountMinor: 4550 },
  ],
  sections: [
    {
      name: "Stalls",
      kind: "assigned",
      rows: 3,
      seatsPerRow: 4,
      priceTier: "Back",
      areas: [
        { rows: ["A", "A"], priceTier: "Front" },
        { rows: ["B", "C"], seats: [1, 1], accessible: true },
        { rows: ["C", "C"], seats: [4, 4], restrictedView: true },
      ],
      position: { x: 10, y: 5 },
      seatSpacing: 0.5,
      rowSpacing: 2,
    },
    { name: "Standing", kind: "general", capacity: 6, priceTier: "Back" },
  ],
};
