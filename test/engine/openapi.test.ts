import { beforeAll, describe, expect, test } from "bun:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { PROBLEMS } from "../../src/http/problems.ts";
import { useEngine } from "../fixtures/use-engine.ts";

interface Media {
  schema?: object;
  example?: unknown;
  examples?: Record<string, { value: unknown }>;
}
interface Described {
  description?: string;
}
interface Parameter extends Described, Media {
  name: string;
  in: string;
}
interface Response extends Described {
  content?: Record<string, Media>;
  headers?: Record<string, Described>;
  links?: Record<string, { operationId: string; parameters: Record<string, string> }>;
}
interface Operation {
  operationId?: string;
  summary?: string;
  tags?: string[];
  parameters: Parameter[];
  requestBody?: { content: Record<string, Media> };
  responses: Record<string, Response>;
}
interface Document {
  components: { schemas: Record<string, object> };
  tags: ({ name: string } & Described)[];
  paths: Record<string, Record<string, Operation>>;
}

const ajv = new Ajv({ strict: false });
addFormats(ajv);

const INT32_MAX = 2 ** 31 - 1;

/** Server-sent events, the map as bytes, and Prometheus's text have no schema worth the name. */
const NOT_JSON = ["text/event-stream", "application/octet-stream", "text/plain"];

const sale = useEngine();
let document: Document;
let operations: (Operation & { at: string })[];

beforeAll(async () => {
  document = (await (await fetch(`${sale.url}/openapi.json`)).json()) as Document;
  operations = Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ at: `${method} ${path}`, ...operation })),
  );
});

const operation = (operationId: string) =>
  operations.find((each) => each.operationId === operationId) ?? { at: "", parameters: [], responses: {} };

/** The schema with no member allowed that it does not declare. */
const closed = (schema: object): object =>
  JSON.parse(JSON.stringify(schema), (_, value) =>
    value?.type === "object" && value.properties ? { additionalProperties: false, ...value } : value,
  );

/** What lacks something, by its name; the list that a test wants empty. */
const without = <Item>(items: [name: string, item: Item][], has: (item: Item) => unknown) =>
  items.filter(([, item]) => !has(item)).map(([name]) => name);

const parameters = () =>
  operations.flatMap(({ at, parameters: given }) =>
    given.map((each): [string, Parameter] => [`${at}: ${each.name}`, each]),
  );
const responses = () =>
  operations.flatMap(({ at, responses: given }) =>
    Object.entries(given).map(([status, each]): [string, Response] => [`${at}: ${status}`, each]),
  );
const media = () => [
  ...operations.flatMap(({ at, requestBody }) => withTypes(`${at}: body`, requestBody?.content)),
  ...responses().flatMap(([name, { content }]) => withTypes(name, content)),
];
const withTypes = (name: string, content: Record<string, Media> = {}) =>
  Object.entries(content).map(([type, each]): [string, string, Media] => [name, type, each]);

describe("the OpenAPI document", () => {
  test("is valid by OpenAPI's own schema", async () => {
    const { valid, errors } = await new Validator().validate({ ...document });
    expect(errors ?? []).toEqual([]);
    expect(valid).toBe(true);
  });

  test("has every operation named, in a tag that is described, and in words", () => {
    const named = operations.map((each): [string, Operation] => [each.at, each]);
    expect(operations.length).toBeGreaterThan(25);
    expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
    expect(without(named, ({ operationId, summary }) => operationId && summary)).toEqual([]);
    const described = document.tags.filter(({ description }) => description).map(({ name }) => name);
    expect(
      without(named, ({ tags = [] }) => tags.length > 0 && tags.every((tag) => described.includes(tag))),
    ).toEqual([]);
    expect(document.tags.filter(({ name }) => !operations.some(({ tags }) => tags?.includes(name)))).toEqual(
      [],
    );
  });

  test("has every parameter, answer and header in words", () => {
    expect(without(parameters(), ({ description }) => description)).toEqual([]);
    expect(without(responses(), ({ description }) => description)).toEqual([]);
  });

  test("keeps what routes say of their parameters: bounds in the path, headers, and the query", () => {
    const names = (operationId: string) =>
      operation(operationId).parameters.map(({ name, in: place }) => `${place} ${name}`);
    expect(names("reserveSeat")).toEqual(["path seatId", "header X-Request-Id"]);
    expect(names("holdSeats")).toContain("header Idempotency-Key");
    expect(names("confirmReservation")).toEqual([
      "path reservationId",
      "header X-Reservation-Token",
      "header Idempotency-Key",
      "header X-Request-Id",
    ]);
    expect(names("getSeatHistory")).toEqual([
      ...["path seatId", "query after", "query limit", "header X-Request-Id"],
    ]);
    expect(names("getEventMap")).toEqual(expect.arrayContaining(["query at", "header If-None-Match"]));
    expect(names("eventChanges")).toEqual(expect.arrayContaining(["header Last-Event-ID"]));
    const [seatId] = operation("reserveSeat").parameters;
    expect(seatId?.schema).toEqual({
      ...{ type: "integer", format: "int64", minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
    });
    expect(
      without(
        operations.map((each) => [each.at, each]),
        ({ parameters: given }) => given.some(({ name }) => name === "X-Request-Id"),
      ),
    ).toEqual([]);
  });

  test("tells how wide each integer may be, and what a page has by default", () => {
    const tooNarrow: string[] = [];
    JSON.stringify(document, (_, value) => {
      if (value?.maximum > INT32_MAX && value.format !== "int64") tooNarrow.push(JSON.stringify(value));
      return value;
    });
    expect(tooNarrow).toEqual([]);
    const schemas = operation("listSeats").parameters.map(({ name, schema }) => [name, schema]);
    expect(Object.fromEntries(schemas)).toMatchObject({ after: { default: 0 }, limit: { default: 100 } });
  });

  test("has an example of every body that is JSON and no problem, and each example is as its schema says", () => {
    const bare = media()
      .filter(([, type, { example, examples }]) => type === "application/json" && !example && !examples)
      .map(([name]) => name);
    expect(bare).toEqual([]);
    const wrong = media().flatMap(([name, type, { schema, example, examples = {} }]) => {
      if (!schema || NOT_JSON.includes(type)) return [];
      const given = [...Object.values(examples).map(({ value }) => value), ...(example ? [example] : [])];
      return given
        .filter((value) => !ajv.validate({ ...schema, components: document.components }, value))
        .map(() => `${name}: ${ajv.errorsText()}`);
    });
    expect(wrong).toEqual([]);
  });

  test("declares every member of the responses that the engine sends", async () => {
    const hold = await ask("POST", "/api/v1/reservations", { eventId: 1, bestAvailable: { quantity: 2 } });
    const { reservationId, token } = hold as { reservationId: string; token: string };
    const answers: [operationId: string, status: string, body: unknown][] = [
      ["holdSeats", "201", hold],
      ["holdSeats", "400", await ask("POST", "/api/v1/reservations", {})],
      [
        "confirmReservation",
        "200",
        await ask("POST", `/api/v1/reservations/${reservationId}/confirm`, {}, token),
      ],
      ["holdSeats", "409", await ask("POST", "/api/v1/reservations", { seatIds: seatsOf(hold) })],
      ["listEvents", "200", await ask("GET", "/api/v1/events")],
      ["getEvent", "200", await ask("GET", "/api/v1/events/1")],
      ["listSections", "200", await ask("GET", "/api/v1/events/1/sections")],
      ["listSeatsOfEvent", "200", await ask("GET", "/api/v1/events/1/seats?limit=3")],
      ["getSeat", "200", await ask("GET", "/api/v1/seats/1")],
      ["getSeatHistory", "200", await ask("GET", `/api/v1/seats/${seatsOf(hold)[0]}/history`)],
      ["getEventMap", "200", await ask("GET", "/api/v1/events/1/map")],
      ["reserveSeat", "201", await ask("POST", "/api/v1/bookings/reserve/900")],
      ["reserveSeat", "409", await ask("POST", "/api/v1/bookings/reserve/900")],
      ["health", "200", await ask("GET", "/actuator/health")],
      ["links", "200", await ask("GET", "/")],
    ];
    const components = closed(document.components);
    const wrong = answers.flatMap(([operationId, status, body]) => {
      const [content] = Object.values(operation(operationId).responses[status]?.content ?? {});
      const isRight = ajv.validate({ ...closed(content?.schema ?? {}), components }, body);
      return isRight ? [] : [`${operationId} ${status}: ${ajv.errorsText()}: ${JSON.stringify(body)}`];
    });
    expect(wrong).toEqual([]);
  });

  const ask = async (method: string, path: string, body?: object, token = ""): Promise<unknown> => {
    const headers = { "content-type": "application/json", "x-reservation-token": token };
    const init = body === undefined ? { method } : { method, headers, body: JSON.stringify(body) };
    return (await fetch(sale.url + path, init)).json();
  };
  const seatsOf = (hold: unknown) =>
    (hold as { seats: { seatId: number }[] }).seats.map(({ seatId }) => seatId);

  test("names the problems that refuse a hold or a change, each with an example", () => {
    for (const operationId of ["holdSeats", "confirmReservation", "cancelReservation", "extendReservation"]) {
      const { examples } =
        operation(operationId).responses["409"]?.content?.["application/problem+json"] ?? {};
      expect([operationId, Object.keys(examples ?? {}).length > 1]).toEqual([operationId, true]);
    }
  });

  test("shows each type of problem with an operation that sends it", () => {
    // Of addresses that are no operation's, and of a fault that no client can do anything about.
    const ofNone = ["moved", "not-found", "method-not-allowed", "internal-error"];
    const shown = new Set(responses().flatMap(([, { content }]) => slugsOf(content)));
    expect(Object.keys(PROBLEMS).filter((slug) => !shown.has(slug) && !ofNone.includes(slug))).toEqual([]);
  });

  test("tells of every change that a page of another origin cannot ask for it", () => {
    const changing = operations.filter(({ at }) => !at.startsWith("get "));
    expect(changing.length).toBeGreaterThan(10);
    expect(
      without(
        changing.map(({ at, responses: given }): [string, Response | undefined] => [at, given["403"]]),
        (response) => slugsOf(response?.content).includes("cross-site"),
      ),
    ).toEqual([]);
  });

  const slugsOf = (content: Response["content"]) =>
    Object.keys(content?.["application/problem+json"]?.examples ?? {});

  test("leads from a hold to what its owner may do with it, by links to operations that there are", () => {
    const { links = {} } = operation("holdSeats").responses["201"] ?? {};
    expect(Object.keys(links)).toContain("confirmReservation");
    for (const { operationId, parameters: filled } of Object.values(links)) {
      const known = operation(operationId).parameters.map(({ name }) => name);
      expect(known).toEqual(
        expect.arrayContaining(Object.keys(filled).map((name) => name.replace("header.", ""))),
      );
    }
  });
});

describe("an address", () => {
  const ask = (method: string, path: string) => fetch(sale.url + path, { method });

  test("that is not for the method is told so, with the methods that it is for", async () => {
    for (const [method, path, allow] of [
      ["GET", "/api/v1/bookings/reserve/2", "POST"],
      ["PUT", "/api/v1/seats/2/", "GET, HEAD"],
      ["DELETE", "/api/v1/admin/api-keys", "GET, HEAD, POST"],
      ["OPTIONS", "/api/v1/reservations/x", "DELETE, GET, HEAD"],
    ] as const) {
      const answer = await ask(method, path);
      expect([path, answer.status, answer.headers.get("allow")]).toEqual([path, 405, allow]);
      expect(answer.headers.get("content-type")).toBe("application/problem+json");
      expect(await answer.json()).toMatchObject({
        type: "urn:sentinel:problem:method-not-allowed",
        status: 405,
      });
    }
  });

  test("that there is not is told so", async () => {
    for (const path of ["/api/v1/seats/2/nothing", "/api", "/api/v1/events//map"]) {
      const answer = await ask("GET", path);
      expect([path, answer.status, answer.headers.get("allow")]).toEqual([path, 404, null]);
    }
  });

  test("without a path leads on: each link is answered", async () => {
    const told = (await (await ask("GET", "/")).json()) as Record<string, string>;
    const { name, version, ...links } = told;
    expect([name, typeof version]).toEqual(["Sentinel", "string"]);
    expect(Object.keys(links)).toEqual(expect.arrayContaining(["docs", "openapi", "health", "metrics"]));
    for (const path of Object.values(links)) {
      const answer = await ask("GET", path);
      await answer.body?.cancel();
      expect([path, answer.status]).toEqual([path, 200]);
    }
  });
});
