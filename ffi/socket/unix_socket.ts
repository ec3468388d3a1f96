// Unix sockets, stream and sequenced-packet: what carries descriptors between processes.
import { acceptClients } from "../event/adopt.ts";
import { asFound, integerOf, optionsOf } from "../../base/arguments.ts";
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import { IpcError } from "../../base/error.ts";
import { giveWay, mustGiveWay, turned } from "../../base/event_loop.ts";
import { IpcFd } from "../file/fd.ts";
import { type FileStatus, fileStatus, isSameFile } from "../file/file_status.ts";
import { check, cString, interrupted, libc, systemError } from "../libc/libc.ts";
import {
  AF_UNIX,
  EADDRINUSE,
  EAGAIN,
  ECONNABORTED,
  ECONNREFUSED,
  EINTR,
  ENOENT,
  F_DUPFD_CLOEXEC,
  LOCK_EX,
  O_CLOEXEC,
  O_RDONLY,
  POLLIN,
  SO_PEERCRED,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  SOL_SOCKET,
} from "../libc/platform.ts";
import { OpenThing } from "../process/open_things.ts";
import { runtime } from "../runtime/mod.ts";
import type { Acceptor, TakenConnection } from "../runtime/runtime.ts";
import { pollMany, pollUntil } from "../event/poll.ts";
import { pollEventually } from "../event/readiness.ts";
import { descriptorLimit } from "../file/resources.ts";
import { isAbstract, socketAddress } from "./socket_address.ts";
import { UCRED } from "../libc/structs.ts";
import {
  deadlineAfter,
  PendingWait,
  type SyncWaitOptions,
  timeoutError,
  timeoutOf,
  type WaitOptions,
} from "../../base/wait.ts";
import { cannotTravel } from "../../base/pack.ts";

/**
 * Who is at the other end of a socket, as the kernel vouches for it.
 *
 * @example Who is there
 * ```ts
 * import { IpcServer, type PeerCredentials } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const seen: PeerCredentials[] = [];
 * using server = new IpcServer<string, string>({
 *   allow: (peer) => seen.push(peer) > 0, // whoever may open the name; by default the same user alone
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
  /** How many clients may wait to be accepted; 128 unless told. */
  backlog?: number;
}

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
  #pendingAccepts = new Set<PendingWait<UnixSocket>>();
  #acceptor: Acceptor | undefined;
  #lookTimer: ReturnType<typeof setTimeout> | undefined;
  /** When it came, if nobody was waiting for it. */
  #cameAt = 0;
  /** Connections that came in while no accept was waiting any more. */
  readonly #early: UnixSocket[] = [];
  /** Connections that the event loop took, for which no descriptor of our own was to be had yet. */
  readonly #held: TakenConnection[] = [];
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
    checkType(type);
    return new UnixSocket(new IpcFd(fd instanceof IpcFd ? fd.take() : fd), type);
  }

  /**
   * Two sockets connected with each other.
   *
   * @param options The type.
   * @returns Both ends.
   */
  static pair(options: UnixSocketOptions = {}): [UnixSocket, UnixSocket] {
    const type = typeOf(options, "Cannot make a pair of sockets");
    const [a, b] = socketPair(type);
    return [new UnixSocket(a, type), new UnixSocket(b, type)];
  }

  /**
   * Connects to a listening socket. Does not wait: the connection stands as soon as it is queued there.
   *
   * @param name Its path, or `@name`.
   * @param options The type, which must be the listener's.
   * @returns The connected socket.
   * @throws {IpcError} `NotFound` if nobody listens there, `AlreadyExists` if its queue of clients is full, `Permission`,
   * `System` if the listener is of another type or there is no descriptor left.
   * @throws {TypeError} If the name is empty, longer than 107 bytes, or contains NUL.
   */
  static connect(name: string, options: UnixSocketOptions = {}): UnixSocket {
    const { c, errnoCell } = libc();
    const type = typeOf(options, "Cannot connect");
    const address = socketAddress(name);
    const fd = newSocket(type);
    for (;;) {
      const result = c.connect(fd.fd, address, address.length);
      const errno = errnoCell[0]!;
      if (result === 0) return new UnixSocket(fd, type);
      if (errno === EINTR) continue;
      fd.close();
      if (errno === ENOENT || errno === ECONNREFUSED) {
        throw new IpcError("NotFound", `Cannot connect to "${name}": nobody listens there (any more)`, {
          errno,
          syscall: "connect",
        });
      }
      if (errno === EAGAIN) {
        throw new IpcError(
          "AlreadyExists",
          `Cannot connect to "${name}": its queue of clients is full; try again, or ask for a server of your own`,
          { errno, syscall: "connect" },
        );
      }
      throw systemError(`Cannot connect to "${name}"`, "connect", errno);
    }
  }

  /**
   * Listens at a name. The socket file of a dead process is replaced, that of a living one is not.
   *
   * @param name A path, or `@name`.
   * @param options The type, and how many clients may queue.
   * @returns The listening socket.
   * @throws {IpcError} `AlreadyExists` if somebody listens there, or the path is some other file; `NotFound` if its
   * folder does not exist; `Permission`; `System` if there is no descriptor left.
   * @throws {TypeError} If the name is empty, longer than 107 bytes, or contains NUL.
   */
  static listen(name: string, options: UnixListenOptions = {}): UnixSocket {
    const type = typeOf(options, "Cannot listen");
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
    this.#stopAccepting(new IpcError("Closed", "Cannot accept: the socket's descriptor was taken"));
    this.#bound?.leave();
    return this.#fd.take();
  }

  /**
   * Who is at the other end of a connected socket.
   *
   * @throws {IpcError} `Closed`.
   */
  get peer(): PeerCredentials {
    const { c, errnoCell } = libc();
    const ucred = new Uint8Array(UCRED.size), view = new DataView(ucred.buffer);
    const length = new Uint32Array([ucred.length]);
    check(
      c.getsockopt(this.fd, SOL_SOCKET, SO_PEERCRED, ucred, length),
      errnoCell[0]!,
      "getsockopt",
      "Cannot read the credentials of a peer",
    );
    return {
      pid: view.getInt32(UCRED.pid, true),
      uid: view.getUint32(UCRED.uid, true),
      gid: view.getUint32(UCRED.gid, true),
    };
  }

  /**
   * Takes the next client if one is waiting.
   *
   * @returns The connection, or `undefined` if no client is waiting now.
   * @throws {IpcError} `Closed`; `System` if this process has no descriptor left: the client goes on waiting.
   */
  tryAccept(): UnixSocket | undefined {
    const early = this.#early.shift() ?? this.#takeHeld();
    if (early !== undefined) return early;
    const { c, errnoCell } = libc();
    for (;;) {
      const fd = c.accept4(this.fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC);
      const errno = errnoCell[0]!;
      if (fd >= 0) return new UnixSocket(new IpcFd(fd), this.type);
      if (errno === EAGAIN) return undefined;
      // A client that gave up in the queue is not the server's failure.
      if (errno !== EINTR && errno !== ECONNABORTED) {
        throw systemError("Cannot accept a client", "accept4", errno);
      }
    }
  }

  /**
   * Blocks until a client connects.
   *
   * @param options How long to wait at most.
   * @returns The connection.
   * @throws {IpcError} `Timeout`; otherwise as {@linkcode UnixSocket.tryAccept}.
   */
  acceptSync(options?: SyncWaitOptions): UnixSocket {
    const timeout = timeoutOf(options);
    const deadline = timeout === 0 ? 0 : deadlineAfter(timeout);
    for (;;) {
      const client = this.tryAccept();
      if (client !== undefined) return client;
      if (pollUntil(this.fd, POLLIN, deadline) === 0) throw timeoutError("accept a client", timeout);
    }
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
    const timeout = timeoutOf(options);
    options?.signal?.throwIfAborted();
    const ready = this.tryAccept();
    // A wait is a turn of the event loop anyway, and must begin at once.
    if ((ready !== undefined || timeout === 0) && mustGiveWay()) {
      await giveWay();
      if (ready !== undefined && (this.closed || options?.signal?.aborted)) {
        if (this.closed) ready.close();
        else this.#early.unshift(ready); // for another accept
        options?.signal?.throwIfAborted();
        throw new IpcError("Closed", "Cannot accept a client: the socket was closed");
      }
    }
    if (ready !== undefined) return ready;
    if (timeout === 0) throw timeoutError("accept a client", timeout);
    if (this.type === "seqpacket") {
      // The event loop adopts stream sockets only.
      const deadline = deadlineAfter(timeout);
      for (;;) {
        const left = Math.max(0, deadline - performance.now());
        await pollEventually(this.#fd, POLLIN, "accept a client", {
          ...options,
          ...(timeout === Infinity ? {} : { timeout: left }),
        });
        const client = this.tryAccept();
        if (client !== undefined) return client;
      }
    }
    this.#startAcceptor(); // may find no room for a descriptor: nobody waits then
    const wait = new PendingWait<UnixSocket>("accept a client", options, (given) => {
      this.#pendingAccepts.delete(given);
      this.#idle();
    });
    this.#pendingAccepts.add(wait);
    this.#lookLater();
    return wait.promise;
  }

  /** The event loop accepts, with a duplicate of the listening descriptor: without a thread. */
  #startAcceptor(): void {
    if (this.#acceptor !== undefined) {
      this.#acceptor.awaited(true);
      return;
    }
    const acceptor = acceptClients(this.#fd, (connection) => this.#onConnection(connection), (error) => {
      if (this.#acceptor === acceptor) this.#stopAccepting(error);
    });
    this.#acceptor = acceptor;
  }

  #onConnection(connection: TakenConnection): void {
    turned();
    let client: UnixSocket;
    try {
      client = this.#adopt(connection);
    } catch (error) {
      // The client can wait until there is room for it, but whoever waits for it must know.
      connection.park();
      this.#held.push(connection);
      this.#rejectAll(error);
      return;
    }
    this.#handOver(client);
  }

  /** A descriptor of our own for a connection that the event loop took, whose own one is closed. */
  #adopt(connection: TakenConnection): UnixSocket {
    const { fd } = connection;
    if (fd === undefined) {
      throw new IpcError("Unsupported", "Cannot accept a client: this version of the runtime hides its descriptor");
    }
    const { c, errnoCell } = libc();
    const own = check(c.fcntl(fd, F_DUPFD_CLOEXEC, 3), errnoCell[0]!, "fcntl", "Cannot accept a client");
    connection.drop();
    return new UnixSocket(new IpcFd(own), this.type);
  }

  #takeHeld(): UnixSocket | undefined {
    const connection = this.#held[0];
    if (connection === undefined) return undefined;
    const client = this.#adopt(connection);
    this.#held.shift();
    return client;
  }

  #handOver(client: UnixSocket): void {
    for (const wait of this.#pendingAccepts) {
      this.#pendingAccepts.delete(wait);
      if (wait.resolve(client)) {
        this.#idle();
        return;
      }
    }
    client.#cameAt = performance.now();
    this.#early.push(client);
    const most = Math.min(MAX_EARLY, Math.floor(descriptorLimit().soft / EARLY_SHARE));
    if (this.#early.length > most) this.#dropEarly();
  }

  /** Many wait here: drops who has said nothing for longest; of far too many, the last that came if all have. */
  #dropEarly(): void {
    const pollfds = new Int32Array(this.#early.flatMap(({ fd }) => [fd, POLLIN]));
    pollMany(pollfds, 0);
    const before = this.#early.length > MAX_EARLY ? Infinity : performance.now() - EARLY_PATIENCE;
    const silent = this.#early.findIndex((client, i) => client.#cameAt < before && pollfds[2 * i + 1]! >>> 16 === 0);
    if (silent >= 0) this.#early.splice(silent, 1)[0]!.close();
    else if (this.#early.length > MAX_EARLY) this.#early.pop()!.close();
  }

  /**
   * The event loop gives up accepting, without a word, when an accept fails for want of a descriptor; seen in Deno 2.9.
   * So whoever waits looks itself now and then whether somebody is kept waiting.
   */
  #lookLater(): void {
    if (this.#lookTimer !== undefined) return;
    this.#lookTimer = setTimeout(() => {
      this.#lookTimer = undefined;
      if (this.#pendingAccepts.size === 0) return;
      try {
        const client = this.tryAccept();
        if (client !== undefined) {
          this.#dropAcceptor();
          this.#handOver(client);
          if (this.#pendingAccepts.size > 0) this.#startAcceptor();
        }
      } catch (error) {
        this.#stopAccepting(error);
      }
      if (this.#pendingAccepts.size > 0) this.#lookLater();
    }, LOOK_EVERY);
    runtime.timerAwaited(this.#lookTimer, false);
  }

  /**
   * Nobody waits: the process may exit. The acceptor stays, as Deno takes several clients from the kernel at a time, and
   * drops those that it has not announced yet when it is closed.
   */
  #idle(): void {
    if (this.#pendingAccepts.size > 0) return;
    this.#acceptor?.awaited(false);
    clearTimeout(this.#lookTimer);
    this.#lookTimer = undefined;
  }

  #stopAccepting(reason: unknown): void {
    this.#dropAcceptor();
    this.#rejectAll(reason);
  }

  #dropAcceptor(): void {
    // Forgotten first: code of the program may run inside the close.
    const acceptor = this.#acceptor;
    this.#acceptor = undefined;
    acceptor?.close();
  }

  #rejectAll(reason: unknown): void {
    const waits = [...this.#pendingAccepts];
    this.#pendingAccepts.clear();
    this.#idle();
    for (const wait of waits) wait.reject(reason);
  }

  /** Closes the socket, and removes the path it listened at. Pending accepts reject with `Closed`. */
  close(): void {
    if (this.#fd.closed) return;
    this.#stopAccepting(new IpcError("Closed", "Cannot accept a client: the socket was closed"));
    for (const client of this.#early.splice(0)) client.close();
    for (const connection of this.#held.splice(0)) connection.drop();
    this.#bound?.letGo();
    this.#fd.close();
  }

  /** Same as {@linkcode UnixSocket.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** The path of a listening socket, and the file that was made for it. */
class BoundPath extends OpenThing {
  /** The path. */
  readonly path: string;
  readonly #status: FileStatus | undefined;

  constructor(path: string) {
    super();
    this.path = path;
    this.#status = fileStatus(path);
    this.opened();
  }

  /** It stays, for the socket's present owner. */
  leave(): void {
    this.ended();
  }

  /** Removes it, if it is what the socket made: somebody may have replaced it. */
  override letGo(): void {
    this.ended();
    if (this.#status !== undefined && isSameFile(this.#status, this.path)) libc().c.unlink(cString(this.path));
  }
}

/** Clients that may queue: more than Linux ever lets, see `net.core.somaxconn`. */
const MAX_BACKLOG = 0x7fff_ffff;

function typeOf(options: UnixSocketOptions, what: string): UnixSocketType {
  return checkType(optionsOf(options, what).type ?? "stream");
}

function checkType(type: UnixSocketType): UnixSocketType {
  if (type !== "stream" && type !== "seqpacket") {
    throw new TypeError(`Cannot use a socket of the type ${asFound(type)}: it is "stream" or "seqpacket"`);
  }
  return type;
}

/** Two connected descriptors, not blocking. */
export function socketPair(type: UnixSocketType): [IpcFd, IpcFd] {
  const { c, errnoCell } = libc();
  const fds = new Int32Array(2);
  check(c.socketpair(AF_UNIX, flagsOf(type), 0, fds), errnoCell[0]!, "socketpair", "Cannot create a pair of sockets");
  return [new IpcFd(fds[0]!), new IpcFd(fds[1]!)];
}

function flagsOf(type: UnixSocketType): number {
  return (type === "stream" ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_NONBLOCK | SOCK_CLOEXEC;
}

function newSocket(type: UnixSocketType): IpcFd {
  const { c, errnoCell } = libc();
  return new IpcFd(check(c.socket(AF_UNIX, flagsOf(type), 0), errnoCell[0]!, "socket", "Cannot create a socket"));
}

function bind(fd: number, name: string, type: UnixSocketType): void {
  const { c, errnoCell } = libc();
  const address = socketAddress(name);
  let result = c.bind(fd, address, address.length);
  let errno = errnoCell[0]!;
  if (result < 0 && errno === EADDRINUSE && !isAbstract(name)) {
    // Two servers may find the same stale file: the lock on the folder lets one look, remove and bind at a time.
    const folder = name.slice(0, name.lastIndexOf("/") + 1) || ".";
    const lock = new IpcFd(
      check(c.open(cString(folder), O_RDONLY | O_CLOEXEC, 0), errnoCell[0]!, "open", `Cannot listen at "${name}"`),
    );
    try {
      let locked: number, why: number;
      do {
        locked = c.flock(lock.fd, LOCK_EX);
        why = errnoCell[0]!;
      } while (interrupted(locked, why));
      check(locked, why, "flock", `Cannot listen at "${name}"`);
      if (isStale(name, type)) c.unlink(cString(name));
      result = c.bind(fd, address, address.length);
      errno = errnoCell[0]!;
    } finally {
      lock.close();
    }
  }
  if (result === 0) return;
  if (errno === EADDRINUSE) {
    const status = isAbstract(name) ? undefined : fileStatus(name);
    const found = status === undefined || status.socket
      ? "somebody listens there already; connect to it, or use another name"
      : `there is ${status.folder ? "a folder" : "some other file"}; use another path`;
    throw new IpcError(
      "AlreadyExists",
      `Cannot listen at "${name}": ${found}`,
      { errno, syscall: "bind" },
    );
  }
  throw systemError(`Cannot listen at "${name}"`, "bind", errno);
}

/**
 * Whether a path is the socket file of a dead process. Asked with the other type of socket: a living listener of
 * `type` answers EPROTOTYPE and notices nothing, so that probing never takes a client's place in its queue.
 */
function isStale(path: string, type: UnixSocketType): boolean {
  const { c, errnoCell } = libc();
  const probe = newSocket(type === "stream" ? "seqpacket" : "stream");
  try {
    const address = socketAddress(path);
    const result = c.connect(probe.fd, address, address.length);
    return result < 0 && errnoCell[0]! === ECONNREFUSED && fileStatus(path)?.socket === true;
  } finally {
    probe.close();
  }
}

/** Clients that may wait for an accept here, beside those in the kernel's queue; further ones are dropped. */
const MAX_EARLY = 512;
/** The part of the descriptor table that those may take which say nothing. */
const EARLY_SHARE = 8;
/** Milliseconds that they have to say something, where there are more. */
const EARLY_PATIENCE = 200;

/** Milliseconds between two looks whether the event loop has left a client waiting. */
const LOOK_EVERY = 1000;
