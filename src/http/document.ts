import { z } from "zod";
import { type Contract, type HeaderParameter, type ResponseContract, slugsOf, TAGS } from "./contract.ts";
import { type JsonSchema, JsonSchemas } from "./json-schema.ts";
import { problemBody } from "./problem.ts";
import { type ProblemSlug, problemOf, typeOf } from "./problems.ts";

/** How an API key is sent; one of them is enough. */
const SECURITY_SCHEMES = {
  bearer: { type: "http", scheme: "bearer", description: "An API key: `sentinel_<id>_<secret>`." },
  apiKey: { type: "apiKey", in: "header", name: "X-API-Key", description: "The same key." },
};
const WITH_KEY = [{ bearer: [] }, { apiKey: [] }];

const header = (description: string, schema: JsonSchema) => ({ description, schema });
const wholeNumber: JsonSchema = { type: "integer" };
const text: JsonSchema = { type: "string" };

const HEADERS = {
  RequestId: header("The `X-Request-Id` of the request, or one that was made for it.", {
    type: "string",
    pattern: "^[\\w.:-]{1,64}$",
  }),
  RetryAfter: header("Seconds to wait before the next attempt.", wholeNumber),
  Authenticate: header("How to send a key (RFC 6750).", text),
  RateLimit: header('What is left of the limit, such as `"address";r=0;t=7`.', text),
  RateLimitPolicy: header('The limit, such as `"address";q=1000;w=10`.', text),
};
const headerRef = (name: keyof typeof HEADERS) => ({ $ref: `#/components/headers/${name}` });

const REQUEST_ID: HeaderParameter = {
  name: "X-Request-Id",
  description:
    "An id of your own for the request, which the log and the response repeat. Without one, or if it is not 1 to 64 letters, digits or `_.:-`, the engine makes one.",
  schema: z.string(),
};

export interface DocumentOptions {
  version: string;
  requireApiKey: boolean;
  description: string;
}

/** The OpenAPI 3.1 document of the operations. */
export function documentOf(all: readonly Contract[], options: DocumentOptions) {
  const contracts = all.filter(({ isHidden }) => !isHidden);
  const schemas = new JsonSchemas();
  const paths: Record<string, Record<string, object>> = {};
  for (const contract of contracts) {
    const path = contract.path.replace(/:(\w+)/g, "{$1}");
    paths[path] ??= {};
    paths[path][contract.method.toLowerCase()] = operationOf(contract, schemas, options);
  }
  const used = new Set(contracts.map(({ tag }) => tag));
  return {
    openapi: "3.1.0",
    info: {
      title: "Sentinel",
      version: options.version,
      description: options.description,
      contact: { name: "The maintainers of Sentinel" },
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" },
    },
    servers: [{ url: "/", description: "The server that this document comes from." }],
    tags: Object.entries(TAGS)
      .filter(([name]) => used.has(name as Contract["tag"]))
      .map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas: Object.fromEntries(Object.entries(schemas.named).sort(([a], [b]) => (a < b ? -1 : 1))),
      headers: HEADERS,
      securitySchemes: SECURITY_SCHEMES,
    },
  };
}

function operationOf(contract: Contract, schemas: JsonSchemas, { requireApiKey }: DocumentOptions): object {
  const { operationId, tag, role, summary, description, body } = contract;
  const needsKey = role !== undefined && (requireApiKey || role === "admin");
  return {
    operationId,
    tags: [tag],
    summary: needsKey ? `${summary} (needs an API key)` : summary,
    description: needsKey ? `Needs an API key of the role ${role} or higher. ${description}` : description,
    security: role === undefined ? [] : needsKey ? WITH_KEY : [{}, ...WITH_KEY],
    parameters: parametersOf(contract, schemas),
    ...(typeof body === "object" && {
      requestBody: {
        required: !body.isOptional,
        content: {
          "application/json": {
            schema: schemas.ofInput(body.shown ?? body.schema),
            examples: examplesOf(body.examples),
          },
        },
      },
    }),
    responses: responsesOf(contract, schemas),
  };
}

function responsesOf(contract: Contract, schemas: JsonSchemas): Record<string, Response> {
  const responses = problemResponses(slugsOf(contract), schemas);
  for (const [status, response] of Object.entries(contract.responses)) {
    const own = successOf(response, schemas);
    const shared = responses[status];
    responses[status] = shared ? together(own, shared) : own;
  }
  return responses;
}

interface Response {
  description: string;
  headers: object;
  content?: object;
}

/** Two kinds of body under one status. */
const together = (one: Response, other: Response): Response => ({
  description: `${one.description}\n\n${other.description}`,
  headers: { ...one.headers, ...other.headers },
  content: { ...one.content, ...other.content },
});

const examplesOf = (values: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value }]));

function parametersOf({ params = {}, query, headers = [] }: Contract, schemas: JsonSchemas): object[] {
  const inPath = Object.entries(params).map(([name, { schema, description, example }]) => ({
    ...{ name, in: "path", required: true, description, example, schema: schemas.ofInput(schema) },
  }));
  const { properties = {}, required = [] } =
    query === undefined || query === "any" ? {} : schemas.ofInput(query);
  const inQuery = Object.entries(properties).map(([name, property]) => {
    const { description, ...schema } = property as JsonSchema;
    return { name, in: "query", required: required.includes(name), description, schema };
  });
  const inHeader = [...headers, REQUEST_ID].map(({ schema, ...given }) => ({
    ...{ ...given, in: "header", required: false, schema: schemas.ofInput(schema) },
  }));
  return [...inPath, ...inQuery, ...inHeader];
}

function successOf(response: ResponseContract, schemas: JsonSchemas): Response {
  const { description, body, example, content = {}, headers = {}, links = [] } = response;
  const bodies = { ...(body && { "application/json": { schema: body, example } }), ...content };
  return {
    description,
    headers: {
      "X-Request-Id": headerRef("RequestId"),
      ...Object.fromEntries(Object.entries(headers).map(([name, about]) => [name, header(about, text)])),
    },
    ...(Object.keys(bodies).length > 0 && {
      content: Object.fromEntries(
        Object.entries(bodies).map(([type, { schema, ...shown }]) => [
          type,
          { ...(schema && { schema: schemas.ofOutput(schema) }), ...shown },
        ]),
      ),
    }),
    ...(links.length > 0 && { links: Object.fromEntries(links.map((name) => [name, linkTo(name)])) }),
  };
}

/** The operations that can follow with the reservation and the token of a response. */
const linkTo = (operationId: string) => ({
  operationId,
  parameters: {
    reservationId: "$response.body#/reservationId",
    "header.X-Reservation-Token": "$response.body#/token",
  },
});

function problemResponses(slugs: ProblemSlug[], schemas: JsonSchemas): Record<string, Response> {
  const byStatus = Map.groupBy(slugs, (slug) => problemOf(slug).status);
  const entries = [...byStatus].map(([status, those]) => [String(status), problemResponse(those, schemas)]);
  return Object.fromEntries(entries);
}

function problemResponse(slugs: ProblemSlug[], schemas: JsonSchemas): Response {
  const refs = slugs.map((slug) => schemas.ofOutput(problemSchema(slug)));
  const [only] = refs;
  const mapping = Object.fromEntries(slugs.map((slug, index) => [typeOf(slug), refs[index]?.$ref]));
  const schema = refs.length === 1 ? only : { oneOf: refs, discriminator: { propertyName: "type", mapping } };
  const examples = examplesOf(
    Object.fromEntries(
      slugs.map((slug) => {
        const { detail, ...members } = problemOf(slug).example;
        return [slug, problemBody(slug, detail, members)];
      }),
    ),
  );
  return {
    description: slugs.map((slug) => `\`${slug}\`: ${problemOf(slug).when}`).join("\n\n"),
    headers: {
      "X-Request-Id": headerRef("RequestId"),
      ...(slugs.some((slug) => problemOf(slug).retries) && { "Retry-After": headerRef("RetryAfter") }),
      ...(slugs.includes("unauthorized") && { "WWW-Authenticate": headerRef("Authenticate") }),
      ...(slugs.includes("rate-limited") && {
        ...{ RateLimit: headerRef("RateLimit"), "RateLimit-Policy": headerRef("RateLimitPolicy") },
      }),
    },
    content: { "application/problem+json": { schema, examples } },
  };
}

const problemSchemas = new Map<ProblemSlug, z.ZodType>();

/** The problem as a schema of its own, named after its slug: `SeatsTakenProblem`. */
function problemSchema(slug: ProblemSlug): z.ZodType {
  const known = problemSchemas.get(slug);
  if (known) return known;
  const { status, members = {} } = problemOf(slug);
  const schema = z
    .object({
      type: z.literal(typeOf(slug)),
      title: z.string(),
      status: z.literal(status),
      detail: z.string().describe("What is wrong and what to do."),
      ...members,
      help: z.string().describe("Where this problem is described; an address on this server."),
    })
    .meta({ id: `${slug.split("-").map(capitalised).join("")}Problem` });
  problemSchemas.set(slug, schema);
  return schema;
}

const capitalised = (word: string) => word.charAt(0).toUpperCase() + word.slice(1);
