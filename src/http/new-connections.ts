import { ptr } from "bun:ffi";
import { readdirSync } from "node:fs";
import { listenersAmong, loadLibrary } from "./limits/server-sockets.ts";

/** From Linux's headers; the same on every 64-bit architecture. */
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
/** `struct sock_filter` and `struct sock_fprog`. */
const INSTRUCTION_BYTES = 8;
const PROGRAM_BYTES = 16;
const PROGRAM_INSTRUCTIONS = 8;

/** The flags of a TCP header, and the one that every packet but a handshake's first has. */
const FLAGS_OFFSET = 13;
const ACK = 0x10;
const PASS_ALL_BYTES = 0xffff_ffff;

/** A packet filter: code, instructions to skip if true and if false, operand. */
const ONLY_WITH_ACK: readonly [code: number, ifTrue: number, ifFalse: number, operand: number][] = [
  [0x30, 0, 0, FLAGS_OFFSET],
  [0x45, 0, 1, ACK],
  [0x06, 0, 0, PASS_ALL_BYTES],
  [0x06, 0, 0, 0],
];

/**
 * Stops new connections on the port without breaking those whose handshake has begun: the system drops the first packet
 * of a handshake. The client's system sends it again after a second, and by then is refused. Without this, connections
 * that the system has completed but the server has not accepted are reset when the port closes, with the requests on
 * them. nginx answers 502 to a POST that it has already sent: 21 times in two restarts.
 *
 * Does nothing outside Linux.
 */
export function dropNewConnections(port: number): void {
  try {
    const { symbols: c } = loadLibrary();
    const instructions = instructionsOf(ONLY_WITH_ACK);
    const program = new Uint8Array(PROGRAM_BYTES);
    const view = new DataView(program.buffer);
    view.setUint16(0, ONLY_WITH_ACK.length, true);
    view.setBigUint64(PROGRAM_INSTRUCTIONS, BigInt(ptr(instructions)), true);
    for (const descriptor of listenersAmong(readdirSync("/proc/self/fd").map(Number), [port]))
      c.setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, program, PROGRAM_BYTES);
  } catch {
    // Not Linux, or no descriptor is left. New connections may then be reset.
  }
}

function instructionsOf(filter: typeof ONLY_WITH_ACK): Uint8Array {
  const bytes = new Uint8Array(filter.length * INSTRUCTION_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [index, [code, ifTrue, ifFalse, operand]] of filter.entries()) {
    const at = index * INSTRUCTION_BYTES;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, ifTrue);
    view.setUint8(at + 3, ifFalse);
    view.setUint32(at + 4, operand, true);
  }
  return bytes;
}
