import { z } from "zod";
import { checked } from "./faults.ts";
import { asksToClose } from "./last-responses.ts";
import { invalidValue, problem } from "./problem.ts";
import { bodyTooLarge, refusalOfBody } from "./request-rules.ts";

const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i;

const utf8 = new TextDecoder("utf-8", { fatal: true });

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
  if (!JSON_TYPE.test(request.headers.get("content-type") ?? "")) {
    return { problem: problem("unsupported-media-type", "Content-Type: must be application/json.") };
  }
  const refuse = (message: string) => ({ problem: invalidValue("body", "", message) });
  let text: string;
  try {
    const bytes = await bytesOf(request, limitBytes);
    if (bytes === undefined) return { problem: await refusalOfBody(request, bodyTooLarge(limitBytes)) };
    text = utf8.decode(bytes);
  } catch {
    return refuse("must be UTF-8, and sent whole");
  }
  if (text.trim() === "") return refuse("must be a JSON object, not empty");
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return refuse("is not valid JSON");
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    return refuse("must be a JSON object");
  }
  return checked("body", schema, body);
}

const nothing = z.strictObject({});

/** Refuses a body where none is expected; undefined if there is none, or it is `{}`. */
export function refusalOfAnyBody(
  request: Request,
  limitBytes: number,
): Promise<Response | undefined> | undefined {
  const { headers } = request;
  const isSent = (headers.get("content-length") ?? "0") !== "0" || headers.has("transfer-encoding");
  if (!isSent) return undefined;
  return readJson(request, nothing, limitBytes).then((read) =>
    "problem" in read ? read.problem : undefined,
  );
}

/** Returns the body; undefined if its length was not announced and exceeds the limit. The rest is then not read. */
async function bytesOf(request: Request, limitBytes: number): Promise<ArrayBuffer | Uint8Array | undefined> {
  // An announced length over the limit is refused before any route.
  if (request.headers.has("content-length")) return request.arrayBuffer();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body?.values({ preventCancel: asksToClose(request) }) ?? []) {
    size += chunk.byteLength;
    if (size > limitBytes) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
