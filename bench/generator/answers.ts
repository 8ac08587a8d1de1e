/** Statuses whose responses have no body, whatever their headers say (RFC 9110, section 6.4.1). */
const hasNoBody = (status: number) => status < 200 || status === 204 || status === 304;

const HEAD_END = "\r\n\r\n";
const LENGTH = /\r\ncontent-length:[ \t]*(\d+)/i;

/**
 * Finds the responses in a connection's bytes, however they are cut into packets. It reads only status and
 * length, because it must cost the load generator far less than the response costs the server.
 */
export class AnswerSplitter {
  private rest: Buffer | undefined;

  /** @param onAnswer called with each complete response; the body's bytes are valid only during the call */
  constructor(private readonly onAnswer: (status: number, body: Buffer) => void) {}

  /** @throws if it is not HTTP/1.1, or a response does not give its length */
  push(packet: Buffer): void {
    let bytes = this.rest ? Buffer.concat([this.rest, packet]) : packet;
    this.rest = undefined;
    while (bytes.length > 0) {
      const headEnd = bytes.indexOf(HEAD_END);
      if (headEnd === -1) break;
      const head = bytes.toString("latin1", 0, headEnd);
      const status = Number(head.slice(9, 12));
      if (!head.startsWith("HTTP/1.1 ") || !(status >= 100)) throw new Error(`no HTTP/1.1 answer: ${head}`);
      const bodyStart = headEnd + HEAD_END.length;
      const bodyEnd = bodyStart + lengthOf(status, head);
      if (bytes.length < bodyEnd) break;
      this.onAnswer(status, bytes.subarray(bodyStart, bodyEnd));
      bytes = bytes.subarray(bodyEnd);
    }
    // A copy, because the socket may reuse the packet's memory.
    if (bytes.length > 0) this.rest = Buffer.from(bytes);
  }
}

function lengthOf(status: number, head: string): number {
  if (hasNoBody(status)) return 0;
  const length = LENGTH.exec(head)?.[1];
  if (length === undefined) throw new Error(`an answer without Content-Length: ${head}`);
  return Number(length);
}
