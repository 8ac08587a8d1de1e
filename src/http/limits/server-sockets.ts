import { dlopen } from "bun:ffi";

/** The C libraries of Debian and similar systems, and of Alpine. */
const C_LIBRARIES = ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`];

/** From Linux's headers; the same on every 64-bit architecture. */
const AF_INET = 2;
const AF_INET6 = 10;
const IPPROTO_TCP = 6;
const TCP_INFO = 11;
const SHUT_RDWR = 2;
const TCP_LISTEN = 10;
/** `struct sockaddr_in6` has 28 bytes; the port is in the same place in both families. */
const ADDRESS_BYTES = 28;
const ADDRESS_PORT = 2;
/** `struct tcp_info` up to `tcpi_bytes_received`, which exists since Linux 4.1. */
const INFO_BYTES = 136;
const INFO_STATE = 0;
const INFO_LAST_DATA_SENT_MS = 44;
const INFO_LAST_DATA_RECEIVED_MS = 52;
const INFO_BYTES_RECEIVED = 128;

/** A client's connection as the kernel sees it. */
export interface Connection {
  descriptor: number;
  bytesReceived: number;
  /** Time since something was sent to it or, if nothing was, since it was accepted. */
  sentAgoMs: number;
  /** Time since something came from it or, if nothing did, since it was accepted. */
  receivedAgoMs: number;
}

/** The connections that this process's servers have accepted on their ports. Bun provides no list of them. */
export interface ServerSockets {
  /** Returns undefined if the descriptor is anything else. */
  look(descriptor: number): Connection | undefined;
  isConnection(descriptor: number): boolean;
  /**
   * Ends a connection in both directions; Bun notices and closes it. It is safe right after `look` in the
   * same turn, because only the listening thread closes a server's descriptors.
   */
  end(descriptor: number): void;
}

/** @throws if the system is not Linux, which alone has these calls */
export function openServerSockets(ports: readonly number[]): ServerSockets {
  const { c, isOnPorts, readInfo, readPeer } = openSystemCalls(ports);
  const look = (descriptor: number): Connection | undefined => {
    const info = isOnPorts(descriptor) ? readInfo(descriptor) : undefined;
    if (!info || info.getUint8(INFO_STATE) === TCP_LISTEN) return undefined;
    return {
      descriptor,
      bytesReceived: Number(info.getBigUint64(INFO_BYTES_RECEIVED, true)),
      sentAgoMs: info.getUint32(INFO_LAST_DATA_SENT_MS, true),
      receivedAgoMs: info.getUint32(INFO_LAST_DATA_RECEIVED_MS, true),
    };
  };
  return {
    look,
    isConnection: (descriptor) => isOnPorts(descriptor) && readPeer(descriptor),
    end: (descriptor) => void c.shutdown(descriptor, SHUT_RDWR),
  };
}

/**
 * Returns the descriptors on which this process listens on one of the ports.
 * @throws same as `openServerSockets`
 */
export function listenersAmong(descriptors: readonly number[], ports: readonly number[]): number[] {
  const { isOnPorts, readInfo } = openSystemCalls(ports);
  return descriptors.filter(
    (descriptor) => isOnPorts(descriptor) && readInfo(descriptor)?.getUint8(INFO_STATE) === TCP_LISTEN,
  );
}

/** Returns calls that read sockets into memory, which the next call overwrites. */
function openSystemCalls(ports: readonly number[]) {
  const { symbols: c } = loadLibrary();
  const addressBytes = new Uint8Array(new ArrayBuffer(ADDRESS_BYTES));
  const infoBytes = new Uint8Array(new ArrayBuffer(INFO_BYTES));
  const address = new DataView(addressBytes.buffer);
  const info = new DataView(infoBytes.buffer);
  const size = new Uint32Array(1);
  return {
    c,
    isOnPorts: (descriptor: number) => {
      size[0] = ADDRESS_BYTES;
      if (c.getsockname(descriptor, addressBytes, size) !== 0) return false;
      const family = address.getUint16(0, true);
      const isInternet = family === AF_INET || family === AF_INET6;
      return isInternet && ports.includes(address.getUint16(ADDRESS_PORT));
    },
    readInfo: (descriptor: number) => {
      size[0] = INFO_BYTES;
      return c.getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, infoBytes, size) === 0 ? info : undefined;
    },
    readPeer: (descriptor: number) => {
      size[0] = ADDRESS_BYTES;
      return c.getpeername(descriptor, addressBytes, size) === 0;
    },
  };
}

/** @throws if the system is not Linux */
export function loadLibrary() {
  if (process.platform !== "linux") throw new Error("only Linux tells which connections a process has");
  const load = (library: string) =>
    dlopen(library, {
      getsockname: { args: ["i32", "ptr", "ptr"], returns: "i32" },
      getpeername: { args: ["i32", "ptr", "ptr"], returns: "i32" },
      getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
      setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
      shutdown: { args: ["i32", "i32"], returns: "i32" },
    });
  for (const library of C_LIBRARIES) {
    try {
      return load(library);
    } catch {
      // Tries the next one.
    }
  }
  throw new Error(`none of ${C_LIBRARIES.join(", ")} can be loaded`);
}
