// What programs see of Unix sockets beside the class itself.
import { asFound, optionsOf } from "../../base/arguments.ts";

/**
 * Who is at the other end of a socket, as the kernel says.
 *
 * @example Who is there
 * ```ts
 * import { IpcServer, type PeerCredentials } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const seen: PeerCredentials[] = [];
 * using server = new IpcServer<string, string>({
 *   allow: (peer) => seen.push(peer) > 0, // everyone who may open the name; by default the same user alone
 * });
 * using client = IpcServer.connect<string, string>(server.name);
 * using served = await server.accept();
 * assertEquals([served.peer?.pid, seen[0]?.pid], [Deno.pid, Deno.pid]);
 * client.sendSync("hello");
 * ```
 */
export interface PeerCredentials {
  /** Process id of the peer when it connected, in this process's PID namespace (0 if it has none there). */
  readonly pid: number;
  /** Effective user id of the peer. */
  readonly uid: number;
  /** Effective group id of the peer. */
  readonly gid: number;
}

/**
 * The kind of a {@linkcode UnixSocket}: a stream of bytes, or packets that keep their boundaries.
 *
 * @example Packets keep their boundaries
 * ```ts
 * import { recvFdsSync, sendFdsSync, UnixSocket, type UnixSocketType } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * function lengthOfFirst(type: UnixSocketType): number {
 *   const [here, there] = UnixSocket.pair({ type });
 *   sendFdsSync(here, new Uint8Array(3), []);
 *   sendFdsSync(here, new Uint8Array(4), []);
 *   const { data } = recvFdsSync(there, 100);
 *   here.close(), there.close();
 *   return data.length;
 * }
 * assertEquals([lengthOfFirst("seqpacket"), lengthOfFirst("stream")], [3, 7]);
 * ```
 */
export type UnixSocketType = "stream" | "seqpacket";

/**
 * Options of {@linkcode UnixSocket}.
 *
 * @example Packets
 * ```ts
 * import { UnixSocket, type UnixSocketOptions } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const packets: UnixSocketOptions = { type: "seqpacket" };
 * const [here, there] = UnixSocket.pair(packets);
 * assertEquals(here.type, "seqpacket");
 * here.close(), there.close();
 * ```
 */
export interface UnixSocketOptions {
  /** A stream of bytes (the default), or packets that keep their boundaries. */
  type?: UnixSocketType;
}

/**
 * Options of {@linkcode UnixSocket.listen}.
 *
 * @example Many clients at once
 * ```ts
 * import { UnixSocket } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * using server = UnixSocket.listen("@isthmus-doc-backlog", { backlog: 500 });
 * const clients = Array.from({ length: 200 }, () => UnixSocket.connect("@isthmus-doc-backlog"));
 * assertEquals(clients.length, 200); // none was refused, though nobody has accepted yet
 * for (const client of clients) client.close();
 * ```
 */
export interface UnixListenOptions extends UnixSocketOptions {
  /**
   * How many clients may wait to be accepted.
   *
   * @default 128
   */
  backlog?: number;
}

/** The type that options give; a stream by default. */
export function socketTypeOf(options: UnixSocketOptions, what: string): UnixSocketType {
  return checkSocketType(optionsOf(options, what).type ?? "stream");
}

/** Checks a type that a program gave. */
export function checkSocketType(type: UnixSocketType): UnixSocketType {
  if (type !== "stream" && type !== "seqpacket") {
    throw new TypeError(`Cannot use a socket of the type ${asFound(type)}: it is "stream" or "seqpacket"`);
  }
  return type;
}
