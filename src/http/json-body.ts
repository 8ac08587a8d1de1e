import type { z } from "zod";
import { invalidField } from "./invalid-field.ts";
import { asksToClose } from "./last-responses.ts";
import { problem } from "./problem.ts";
import { bodyTooLarge, refusalOfBody } from "./request-rules.ts";

const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i;

const utf8 = new TextDecoder("utf-8", { fatal: true });

export type Read<Value> = { value: Value; problem?: never } | { value?: never; problem: Response };

/**
 * The JSON object in a request's body, checked. Its route says `parse: "none"`, so that Elysia leaves the body
 * alone whatever it makes of the handler's text.
 * @returns the value, or the problem to answer with: 415 for another content type, 413, or 400 naming the field.
 */
export async function readJson<Schema extends z.ZodType>(
  request: Request,
  schema: Schema,
  limitBytes: number,
): Promise<Read<z.output<Schema>>> {
  if (!JSON_TYPE.test(request.headers.get("content-type") ?? "")) {
    return { problem: problem("unsupported-media-type", "Content-Type: must be application/json.") };
  }
  const refuse = (detail: string) => ({ problem: problem("invalid-request", detail) });
  let text: string;
  try {
    const bytes = await bytesOf(request, limitBytes);
    if (bytes === undefined) return { problem: await refusalOfBody(request, bodyTooLarge(limitBytes)) };
    text = utf8.decode(bytes);
  } catch {
    return refuse("body: must be UTF-8, and sent whole.");
  }
  if (text.trim() === "") return refuse("body: must be a JSON object, not empty.");
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return refuse("body: is not valid JSON.");
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    return refuse("body: must be a JSON object.");
  }
  const parsed = schema.safeParse(body, { error: invalidField.message });
  return parsed.success ? { value: parsed.data } : refuse(invalidField.detail(parsed.error));
}

/** The body; undefined if its length was not announced and exceeds the limit. The rest is then not read. */
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
