import type { Handler } from "./request-rules.ts";

const CLOSE = /(?:^|,)\s*close\s*(?:,|$)/i;

/**
 * Adds `Connection: close` to the last response of a connection: when the request asks for it, and to every
 * response once the engine is ending. Bun closes the connection after the body either way, but does not
 * announce the first case. A proxy then keeps the connection in its pool, sends the next request into it and
 * answers 502 (nginx with its default protocol version and `keepalive`: 8,874 times in one run).
 */
export class LastResponses {
  private isEnding = false;

  /** Makes every later response the last one of its connection. */
  begin(): void {
    this.isEnding = true;
  }

  /** Announces the end of the connection if the response is its last one. */
  announce(response: Response, request: Request): Response {
    return this.isEnding || asksToClose(request) ? announced(response) : response;
  }

  /**
   * Returns the handler that answers the request: the given one, or one that also announces the end of the
   * connection.
   */
  handlerOf(handler: Handler, request: Request): Handler {
    return this.isEnding || asksToClose(request) ? announcing(handler) : handler;
  }
}

/**
 * Returns whether the request asks to close its connection. Only HTTP/1.0 allows requests without a Host, and
 * Bun closes every connection of that version. Bun does not expose the version: a request of HTTP/1.0 with a
 * Host and without `Connection: close` looks like HTTP/1.1.
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
