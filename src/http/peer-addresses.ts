/** Knows where requests come from. Rooms may ask it before the servers listen; each server joins when it does. */
export class PeerAddresses {
  private readonly servers: Pick<Bun.Server<unknown>, "requestIP">[] = [];

  join(server: Pick<Bun.Server<unknown>, "requestIP">): void {
    this.servers.push(server);
  }

  /** The other end of the request's connection; undefined once the connection is closed. */
  readonly of = (request: Request): string | undefined => {
    for (const server of this.servers) {
      const address = server.requestIP(request)?.address;
      if (address !== undefined) return address;
    }
    return undefined;
  };
}
