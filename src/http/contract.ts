import type { z } from "zod";
import type { Role } from "./caller.ts";
import type { ProblemResponse } from "./problem.ts";
import type { ProblemSlug } from "./problems.ts";
import { Reply } from "./reply.ts";

/** A value in the path, between two slashes. */
export interface PathParameter<Value> {
  /** @returns undefined where the text is no such value. */
  read(text: string): Value | undefined;
  /** The response to text that is no such value. */
  refusal(): Response;
  schema: z.ZodType;
  description: string;
  example: unknown;
}

/** A header that an operation reads. Its rule stands beside the code that reads it. */
export interface HeaderParameter {
  name: string;
  description: string;
  schema: z.ZodType;
  example?: unknown;
}

export interface ResponseContract {
  description: string;
  /** The JSON body; absent where there is none. */
  body?: z.ZodType;
  example?: unknown;
  /** Bodies of other media types. */
  content?: Record<string, { schema?: z.ZodType; example?: unknown }>;
  /** Descriptions by name. */
  headers?: Record<string, string>;
  /** Operations that take `reservationId` and `token` of the body. */
  links?: readonly string[];
}

interface BodyContract {
  schema: z.ZodType;
  /** The schema as the document shows it, if it says more to a generator of code than the one that checks. */
  shown?: z.ZodType;
  examples: Record<string, unknown>;
  isOptional?: true;
}

/**
 * One operation of the API, written once: the route, its checks, its types and its part of the OpenAPI document all
 * follow from this.
 */
export interface Contract {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  /** With `:name` for a parameter. */
  path: string;
  operationId: string;
  tag: Tag;
  summary: string;
  description: string;
  /** The lowest role that may call it; absent where everybody may. */
  role?: Role;
  params?: Record<string, PathParameter<unknown>>;
  /** `"any"`: parameters are ignored. Absent: there are none, and one that is sent is refused. */
  query?: z.ZodObject | "any";
  headers?: readonly HeaderParameter[];
  /** Absent: a body other than `{}` is refused. `"ignored"`: a body is not even looked at. */
  body?: BodyContract | "ignored";
  responses: Readonly<Record<number, ResponseContract>>;
  /** Left out of the document: pages and their assets. */
  isHidden?: true;
  /** Beside those that the checks before the handler answer with. */
  problems: readonly ProblemSlug[];
}

/** The groups of operations, in the order of the document. */
export const TAGS = {
  Bookings: "Taking seats.",
  Reservations: "Seats that are held for a while, then confirmed or released.",
  Events: "What is on sale, and what is left of it.",
  Seats: "Looking at seats.",
  Administration: "Making and changing events, and helping out.",
  "API keys": "Who may do what.",
  Operations: "Probes, metrics and pages.",
} as const;
type Tag = keyof typeof TAGS;

/** Checks nothing at run time; keeps the literal types that handlers are checked against. */
export const route = <const C extends Contract>(contract: C): C => contract;

type Params<C extends Contract> = {
  [Name in keyof C["params"]]: C["params"][Name] extends PathParameter<infer Value> ? Value : never;
};
type Query<C extends Contract> = C["query"] extends z.ZodObject ? z.output<C["query"]> : undefined;
type Body<C extends Contract> = C["body"] extends { schema: infer Schema extends z.ZodType }
  ? C["body"] extends { isOptional: true }
    ? z.output<Schema> | undefined
    : z.output<Schema>
  : undefined;

/** The validated input of a handler. */
export interface CheckedRequest<C extends Contract> {
  request: Request;
  params: Params<C>;
  query: Query<C>;
  body: Body<C>;
  /** Null where the app does not listen. */
  server: { timeout(request: Request, seconds: number): void } | null;
}

/** The JSON body of a response. */
export type BodyOf<C extends Contract, Status extends keyof C["responses"]> = C["responses"][Status] extends {
  body: infer Schema extends z.ZodType;
}
  ? z.output<Schema>
  : null;

/** Problems that the checks before the handler, or reading the request, may answer with. */
type SharedSlug = "invalid-request" | "unavailable";

/** The body of the 200, or a response made by `reply` or `problem`. */
export type Answer<C extends Contract> =
  | Reply
  | (200 extends keyof C["responses"] ? BodyOf<C, 200> : never)
  | ProblemResponse<C["problems"][number] | SharedSlug>;

/** Answers with a success other than a plain 200. */
export function reply<C extends Contract, Status extends keyof C["responses"] & number>(
  _contract: C,
  status: Status,
  body: BodyOf<C, Status>,
  headers?: Record<string, string>,
): Reply {
  return new Reply(status, body, headers);
}

const isSafe = ({ method }: Contract) => method === "GET";

/** Returns every problem that the operation may answer with: those of the shared checks first, then its own. */
export function slugsOf(contract: Contract): ProblemSlug[] {
  const { role, body, problems } = contract;
  return [
    ...new Set<ProblemSlug>([
      "invalid-request",
      ...(role ? (["unauthorized", "forbidden", "rate-limited", "unavailable"] as const) : []),
      ...(role && role !== "admin" ? (["caller-denied"] as const) : []),
      ...(isSafe(contract) ? [] : (["cross-site", "body-too-large"] as const)),
      ...(isSafe(contract) || body === "ignored" ? [] : (["unsupported-media-type"] as const)),
      ...problems,
    ]),
  ];
}
