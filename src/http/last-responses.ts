import type { Handler } from "./request-rules.ts";

const CLOSE = /(?:^|,)\s*close\s*(?:,|$)/i;

/**
 * Adds `Connection: close` to each response that is the last one of its connection: the response to a request that
 * asks for it, and every response once the engine is ending. Bun closes the connection either way after the body,
 * but does not announce the first case; a proxy then keeps the connection in its pool, sends the next request into
 * it and answers 502 (nginx with its default protocol version and `keepalive`: 8,874 times in one run).
 */
export class LastResponses {
  private isEnding = false;

  /** From now on every response is the last one of its connection. */
  begin(): void {
    this.isEnding = true;
  }

  /** The response, which announces the end of its connection if it is the last one. */
  announce(response: Response, request: Request): Response {
    return this.isEnding || asksToClose(request) ? announced(response) : response;
  }

  /** The handler that answers the request: the one given, or one that announces the end of the connection too. */
  handlerOf(handler: Handler, request: Request): Handler {
    return this.isEnding || asksToClose(request) ? announcing(handler) : handler;
  }
}

/**
 * Only HTTP/1.0 allows requests without a Host, and Bun closes every connection of that version. Bun does not expose the
 * version: a request of HTTP/1.0 with a Host and without `Connection: close` looks like one of HTTP/1.1.
 */
export function asksToClose({ headers }: Request): boolean {
  const connection = headers.get("connection");
  return connection === null ? !headers.has("host") : CLOSE.test(connection);
}

const announcing =
  (handler: Handler): Handler =>
  (request) => {
    const response = handler(request);
    return response instanceof Promise ? response.then(announced) : announced(response);
  };

function announced(response: Response): Response {
  response.headers.set("connection", "close");
  return response;
}
