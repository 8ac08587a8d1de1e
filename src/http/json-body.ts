import { z } from "zod";
import { checked } from "./faults.ts";
import { asksToClose } from "./last-responses.ts";
import { invalidValue, problem } from "./problem.ts";
import { bodyTooLarge, refusalOfBody } from "./request-rules.ts";

const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i;

const REPLACEMENT = "\ufffd";
const NOT_WHOLE = "must be UTF-8 without the replacement character U+FFFD, and sent whole";
const utf8 = new TextDecoder();

type Read<Value> = { value: Value } | { value?: never; problem: Response };

/**
 * Reads and checks the JSON object in a request's body.
 * @returns the value, or the problem to answer with: 415 for another content type, 413, or 400 naming each field.
 */
export async function readJson<Schema extends z.ZodType>(
  request: Request,
  schema: Schema,
  limitBytes: number,
): Promise<Read<z.output<Schema>>> {
  const type = request.headers.get("content-type");
  if (type !== "application/json" && !JSON_TYPE.test(type ?? "")) {
    return { problem: problem("unsupported-media-type", "Content-Type: must be application/json.") };
  }
  const refuse = (message: string) => ({ problem: invalidValue("body", "", message) });
  let text: string;
  try {
    // An announced length over the limit is refused before any route.
    const read = request.headers.has("content-length") ? request.text() : textOf(request, limitBytes);
    const found = await read;
    if (found === undefined) return { problem: await refusalOfBody(request, bodyTooLarge(limitBytes)) };
    text = found;
  } catch {
    return refuse(NOT_WHOLE);
  }
  // Stands for bytes that are not UTF-8. A decoder that throws costs 1.3 µs more.
  if (text.includes(REPLACEMENT)) return refuse(NOT_WHOLE);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return refuse(text.trim() === "" ? "must be a JSON object, not empty" : "is not valid JSON");
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    return refuse("must be a JSON object");
  }
  return checked("body", schema, body);
}

/** Returns whether a request has a body, by what its headers announce. */
export const hasBody = ({ headers }: Request): boolean =>
  (headers.get("content-length") ?? "0") !== "0" || headers.has("transfer-encoding");

const nothing = z.strictObject({});

/** Refuses a body where none is expected; undefined if there is none, or it is `{}`. */
export function refusalOfAnyBody(
  request: Request,
  limitBytes: number,
): Promise<Response | undefined> | undefined {
  if (!hasBody(request)) return undefined;
  return readJson(request, nothing, limitBytes).then((read) =>
    "problem" in read ? read.problem : undefined,
  );
}

/** The body; undefined if its length was not announced and exceeds the limit. The rest is then not read. */
async function textOf(request: Request, limitBytes: number): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body?.values({ preventCancel: asksToClose(request) }) ?? []) {
    size += chunk.byteLength;
    if (size > limitBytes) return undefined;
    chunks.push(chunk);
  }
  return utf8.decode(Buffer.concat(chunks));
}
