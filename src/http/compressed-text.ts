import { acceptsGzip, matches } from "./conditional.ts";

/** A text that never changes: made, hashed and compressed when it is first asked for. */
export class CompressedText {
  private made: { plain: string; gzipped: Uint8Array<ArrayBuffer>; etag: string } | undefined;

  constructor(private readonly make: () => string) {}

  /** The text in the form that the request accepts; 304 if the client has it. */
  answer({ headers }: Request, contentType: string): Response {
    const { plain, gzipped, etag } = this.get();
    const isGzipped = acceptsGzip(headers);
    const ownEtag = isGzipped ? `"${etag}-gzip"` : `"${etag}"`;
    const shared = { etag: ownEtag, "cache-control": "no-cache", vary: "Accept-Encoding" };
    if (matches(headers, ownEtag)) return new Response(null, { status: 304, headers: shared });
    return new Response(isGzipped ? gzipped : plain, {
      headers: {
        ...{ ...shared, "content-type": contentType },
        ...(isGzipped && { "content-encoding": "gzip" }),
      },
    });
  }

  private get() {
    if (!this.made) {
      const plain = this.make();
      this.made = { plain, gzipped: Bun.gzipSync(plain), etag: Bun.hash(plain).toString(36) };
    }
    return this.made;
  }
}
