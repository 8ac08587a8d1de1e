import type { AnyElysia } from "elysia";

type Handler = (request: Request) => Response | Promise<Response>;

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

  /**
   * Puts this around every handler, the one for unknown paths included. Not a hook: with any hook Elysia prepares
   * its whole context for the reserve route too.
   */
  around(app: AnyElysia): AnyElysia {
    return app.wrap(((handler: Handler, request: Request) =>
      this.isEnding || asksToClose(request) ? announcing(handler) : handler) as never);
  }
}

function asksToClose({ headers }: Request): boolean {
  const connection = headers.get("connection");
  return connection !== null && CLOSE.test(connection);
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
