// Unix sockets, stream and sequenced-packet: what carries descriptors between processes.
import { integerOf } from "../../base/arguments.ts";
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import { IpcError } from "../../base/error.ts";
import { cannotTravel } from "../../base/pack.ts";
import type { SyncWaitOptions, WaitOptions } from "../../base/wait.ts";
import { IpcFd } from "../file/fd.ts";
import { check, libc } from "../libc/libc.ts";
import { AcceptQueue } from "./accept_queue.ts";
import { bind, BoundPath } from "./bound_path.ts";
import { connectTo, credentialsOf } from "./connect.ts";
import { newSocket, socketPair } from "./new_socket.ts";
import { isAbstract } from "./socket_address.ts";
import {
  checkSocketType,
  type PeerCredentials,
  socketTypeOf,
  type UnixListenOptions,
  type UnixSocketOptions,
  type UnixSocketType,
} from "./socket_types.ts";

/** Clients that may queue: more than Linux ever lets, see `net.core.somaxconn`. */
const MAX_BACKLOG = 0x7fff_ffff;

/**
 * A connected or listening Unix socket, with the descriptor passing that `Deno.connect` lacks. A name is a path, or
 * `@name` in Linux's abstract namespace, which leaves no file behind.
 *
 * @example Handing a descriptor over
 * ```ts
 * import { recvFdsSync, sendFdsSync, UnixSocket } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * using server = UnixSocket.listen("@isthmus-doc-socket");
 * using client = UnixSocket.connect("@isthmus-doc-socket");
 * using peer = server.acceptSync();
 * sendFdsSync(client, new TextEncoder().encode("stdin"), [0]);
 * const { data, fds } = recvFdsSync(peer, 64);
 * assertEquals(new TextDecoder().decode(data), "stdin");
 * for (const fd of fds) fd.close();
 * ```
 */
export class UnixSocket implements Disposable {
  static {
    cannotTravel(this.prototype, "send an IpcFd of what its takeFd() returns");
  }

  static {
    printAs(UnixSocket.prototype, (socket) => ({
      path: socket.#bound?.path,
      type: socket.type,
      fd: socket.closed ? undefined : socket.fd,
      state: stateOf(socket),
    }));
  }

  readonly #fd: IpcFd;
  readonly #bound: BoundPath | undefined;
  /** Once a client was asked for. */
  #clients: AcceptQueue | undefined;
  /** Which kind of socket this is. */
  readonly type: UnixSocketType;

  private constructor(fd: IpcFd, type: UnixSocketType, bound?: BoundPath) {
    if (!(fd instanceof IpcFd)) {
      throw new TypeError("Cannot construct a UnixSocket: use UnixSocket.connect(), listen(), pair() or fromFd()");
    }
    this.#fd = fd;
    this.type = type;
    this.#bound = bound;
  }

  /**
   * Takes over a descriptor of a connected Unix socket, for example one that came in a message.
   *
   * @param fd The descriptor; owned by the socket from now on.
   * @param type Its type.
   * @returns The socket.
   */
  static fromFd(fd: IpcFd | number, type: UnixSocketType = "stream"): UnixSocket {
    checkSocketType(type);
    return new UnixSocket(new IpcFd(fd instanceof IpcFd ? fd.take() : fd), type);
  }

  /**
   * Two sockets connected with each other.
   *
   * @param options The type.
   * @returns Both ends.
   */
  static pair(options: UnixSocketOptions = {}): [UnixSocket, UnixSocket] {
    const type = socketTypeOf(options, "Cannot make a pair of sockets");
    const [a, b] = socketPair(type);
    return [new UnixSocket(a, type), new UnixSocket(b, type)];
  }

  /**
   * Connects to a listening socket. Does not wait: the connection stands as soon as it is queued there.
   *
   * @param name Its path, or `@name`.
   * @param options The type, which must be the listener's.
   * @returns The connected socket.
   * @throws {IpcError} `NotFound` if no server listens there, `AlreadyExists` if its queue of clients is full, `Permission`,
   * `System` if the listener is of another type or there is no descriptor left.
   * @throws {TypeError} If the name is empty, longer than 107 bytes, or contains NUL.
   */
  static connect(name: string, options: UnixSocketOptions = {}): UnixSocket {
    const type = socketTypeOf(options, "Cannot connect");
    return new UnixSocket(connectTo(name, type), type);
  }

  /**
   * Listens at a name. The socket file of a dead process is replaced, that of a living one is not.
   *
   * @param name A path, or `@name`.
   * @param options The type, and how many clients may queue.
   * @returns The listening socket.
   * @throws {IpcError} `AlreadyExists` if another server listens there, or the path is some other file; `NotFound` if its
   * folder does not exist; `Permission`; `System` if there is no descriptor left.
   * @throws {TypeError} If the name is empty, longer than 107 bytes, or contains NUL.
   */
  static listen(name: string, options: UnixListenOptions = {}): UnixSocket {
    const type = socketTypeOf(options, "Cannot listen");
    const backlog = integerOf(options.backlog ?? 128, 0, MAX_BACKLOG, "Cannot listen with the backlog");
    const fd = newSocket(type);
    try {
      bind(fd.fd, name, type);
      const bound = isAbstract(name) ? undefined : new BoundPath(name);
      const { c, errnoCell } = libc();
      check(c.listen(fd.fd, backlog), errnoCell[0]!, "listen", `Cannot listen at "${name}"`);
      return new UnixSocket(fd, type, bound);
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /**
   * The number of the descriptor, which stays owned by this socket.
   *
   * @throws {IpcError} `Closed`.
   */
  get fd(): number {
    return this.#fd.fd;
  }

  /** Whether the socket was closed. */
  get closed(): boolean {
    return this.#fd.closed;
  }

  /**
   * Gives the descriptor away; the socket counts as closed. A path that it listened at stays.
   *
   * @returns The number of the descriptor, which the caller must close.
   * @throws {IpcError} `Closed`.
   */
  takeFd(): number {
    this.#clients?.stop(new IpcError("Closed", "Cannot accept: the socket's descriptor was taken"));
    this.#bound?.leave();
    return this.#fd.take();
  }

  /**
   * Who is at the other end of a connected socket.
   *
   * @throws {IpcError} `Closed`.
   */
  get peer(): PeerCredentials {
    return credentialsOf(this.fd);
  }

  get #queue(): AcceptQueue {
    return this.#clients ??= new AcceptQueue(this.#fd, this.type);
  }

  /**
   * Takes the next client if one is waiting.
   *
   * @returns The connection, or `undefined` if no client is waiting now.
   * @throws {IpcError} `Closed`; `System` if this process has no descriptor left: the client goes on waiting.
   */
  tryAccept(): UnixSocket | undefined {
    const client = this.#queue.tryAccept();
    return client && new UnixSocket(client, this.type);
  }

  /**
   * Blocks until a client connects.
   *
   * @param options How long to wait at most.
   * @returns The connection.
   * @throws {IpcError} `Timeout`; otherwise as {@linkcode UnixSocket.tryAccept}.
   */
  acceptSync(options?: SyncWaitOptions): UnixSocket {
    return new UnixSocket(this.#queue.acceptSync(options), this.type);
  }

  /**
   * Waits until a client connects.
   *
   * @param options How long to wait at most, and a signal that ends the wait.
   * @returns The connection.
   * @throws {IpcError} `Timeout`; `Closed` if the socket is closed while waiting; `System` if this process has no
   * descriptor left: the client goes on waiting, for the next accept.
   */
  async accept(options?: WaitOptions): Promise<UnixSocket> {
    return new UnixSocket(await this.#queue.accept(options), this.type);
  }

  /** Closes the socket, and removes the path it listened at. Pending accepts reject with `Closed`. */
  close(): void {
    if (this.#fd.closed) return;
    this.#clients?.close();
    this.#bound?.letGo();
    this.#fd.close();
  }

  /** Same as {@linkcode UnixSocket.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}
