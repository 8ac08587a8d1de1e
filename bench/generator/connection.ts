import type { Socket } from "bun";
import { AnswerSplitter } from "./answers.ts";

/** The system's limit of unaccepted connections. More at once would wait a second for their retry. */
const OPENING_AT_ONCE = 256;

interface Handlers {
  answered(connection: Connection, status: number, body: Buffer): void;
  /** Called when the server closed it or it never opened; a pending request then gets no response. */
  lost(connection: Connection): void;
}

/** A keep-alive connection with at most one pending request. */
export class Connection {
  /** Whether a request waits for its response. */
  isBusy = false;
  isOpen = true;
  private closing = false;
  private readonly splitter: AnswerSplitter;

  private constructor(
    private readonly socket: Socket<undefined>,
    readonly index: number,
    private readonly handlers: Handlers,
  ) {
    this.splitter = new AnswerSplitter((status, body) => {
      this.isBusy = false;
      this.handlers.answered(this, status, body);
    });
  }

  static async open(hostname: string, port: number, index: number, handlers: Handlers): Promise<Connection> {
    let connection: Connection | undefined;
    const gone = () => {
      if (connection) connection.isOpen = false;
      if (connection && !connection.closing) handlers.lost(connection);
    };
    const socket = await Bun.connect<undefined>({
      ...{ hostname, port },
      socket: {
        data: (_, packet) => connection?.splitter.push(packet),
        close: gone,
        error: gone,
      },
    });
    // Sends small packets at once. Nagle's algorithm would delay a request until the last response is acknowledged.
    socket.setNoDelay(true);
    connection = new Connection(socket, index, handlers);
    return connection;
  }

  send(request: string): void {
    this.isBusy = true;
    if (this.socket.write(request) !== request.length) {
      throw new Error(`the system did not take a whole request of ${request.length} bytes`);
    }
  }

  close(): void {
    this.closing = true;
    this.socket.terminate();
  }
}

/** @throws if one is refused, after closing the others */
export async function openConnections(url: string, count: number, handlers: Handlers): Promise<Connection[]> {
  const { hostname, port } = new URL(url);
  const opened: Connection[] = [];
  try {
    while (opened.length < count) {
      const some = Array.from({ length: Math.min(OPENING_AT_ONCE, count - opened.length) }, (_, place) =>
        Connection.open(hostname, Number(port), opened.length + place, handlers),
      );
      opened.push(...(await Promise.all(some)));
    }
    return opened;
  } catch (error) {
    for (const connection of opened) connection.close();
    throw error;
  }
}
