// The one-shot server: how two processes that share nothing but a name get a channel.
import { optionsOf } from "../../base/arguments.ts";
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import { IpcError } from "../../base/error.ts";
import { giveWay, mustGiveWay } from "../../base/event_loop.ts";
import { untilReadable, waitReadable } from "../../ffi/event/readable.ts";
import { isTableFull } from "../../ffi/socket/socket_message.ts";
import { UnixSocket } from "../../ffi/socket/unix_socket.ts";
import type { PeerCredentials } from "../../ffi/socket/socket_types.ts";
import { millisecondsText, type SyncWaitOptions, timeoutError, timeoutOf, type WaitOptions } from "../../base/wait.ts";
import type { Handle } from "../ring/handle.ts";
import { receiveHello } from "../endpoint/handshake.ts";
import { type IpcReceiver, receiverFrom } from "../endpoint/receiver.ts";
import { admissionBy, HANDSHAKE_TIMEOUT } from "./admission.ts";
import { doAwaited, doBlocking, either, type Steps } from "./either_way.ts";
import { freshServerName, ONE_SHOT } from "../endpoint/server_kind.ts";
import { cannotTravel } from "../../base/pack.ts";

/**
 * Options of {@linkcode IpcOneShotServer}.
 *
 * @example A server that clients find by a path
 * ```ts
 * import { IpcOneShotServer, IpcSender, type ServerOptions } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const options: ServerOptions = {
 *   path: `/dev/shm/greetings-${crypto.randomUUID()}.sock`,
 *   allow: ({ uid, pid }) => uid === 0 || pid === Deno.pid,
 * };
 * using server = new IpcOneShotServer<string>(options);
 * using sender = IpcSender.connect<string>(options.path!); // in another process, usually
 * await sender.send("hello");
 * const [receiver, first] = await server.accept();
 * assertEquals(first, "hello");
 * receiver.close();
 * ```
 */
export interface ServerOptions {
  /**
   * Where to listen: a path, which clients in other containers can reach if they share the folder. Without it the
   * server gets a name of Linux's abstract namespace, which leaves no file behind, whatever happens.
   */
  path?: string;
  /**
   * Decides who may connect: `true` admits the process, `false` drops it, and waiting goes on. Anything else, such as a
   * promise, admits nobody: the accept throws a `TypeError`.
   *
   * @default Processes of the same user.
   */
  allow?: (peer: PeerCredentials) => boolean;
}

const ACCEPT = "accept a client";

/**
 * Waits for one client, receives its first message, and is done. How a parent and the child that it spawns get their
 * first channel: the parent passes {@linkcode IpcOneShotServer.name} on, as an argument for example.
 *
 * @typeParam T What the client sends.
 *
 * @example
 * ```ts
 * import { IpcOneShotServer, IpcSender } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * using server = new IpcOneShotServer<string>();
 * const sender = IpcSender.connect<string>(server.name); // in another process, usually
 * await sender.send("hello");
 *
 * const [receiver, first] = await server.accept();
 * assertEquals(first, "hello");
 * sender.close(), receiver.close();
 * ```
 */
export class IpcOneShotServer<T> implements Disposable {
  static {
    cannotTravel(this.prototype, "send its name, and connect to it there");
  }

  static {
    printAs<IpcOneShotServer<unknown>>(IpcOneShotServer.prototype, (server) => ({
      name: server.name,
      state: stateOf(server),
      backlog: server.#receiver === undefined && server.#connection === undefined ? 0 : 1,
    }));
  }

  /** What clients connect to. */
  readonly name: string;
  readonly #socket: UnixSocket;
  readonly #allow: (peer: PeerCredentials) => boolean;
  #accepting = false;
  #closed = false;
  /**
   * The client, while it is being accepted: its connection, then what came with it. They outlast an accept that had no
   * descriptor to go on with, or no time.
   */
  #connection: UnixSocket | undefined;
  #receiver: IpcReceiver<T> | undefined;
  /** Whether the connection is one that an earlier accept has waited for in vain. If it is gone by now, waiting goes on. */
  #leftOver = false;
  /** The last client that was not allowed. */
  #refused: PeerCredentials | undefined;

  /**
   * Starts to listen.
   *
   * @param options Where to listen, and whom to allow.
   * @throws {IpcError} `AlreadyExists` if a living server has that path (a dead one's is taken over) or it is some other
   * file; `NotFound` if its folder does not exist; `Permission`.
   * @throws {TypeError} If the path is longer than 107 bytes, or contains NUL.
   */
  constructor(options: ServerOptions = {}) {
    const { path, allow } = optionsOf(options, "Cannot start a server");
    this.name = path === undefined ? freshServerName(ONE_SHOT) : path;
    this.#allow = admissionBy(allow);
    // With a queue of none, Linux lets one client wait and refuses the second at once.
    this.#socket = UnixSocket.listen(this.name, { backlog: 0 });
  }

  /** The path that it listens at; `undefined` for a name without a file. */
  get path(): string | undefined {
    return this.name.startsWith("@") ? undefined : this.name;
  }

  /** Whether it was closed, or has had its client. */
  get closed(): boolean {
    return this.#socket.closed && this.#receiver === undefined;
  }

  /**
   * Waits for the client and its first message. The server closes once it has a client.
   *
   * @param options How long to wait at most, for both together, and a signal that ends the wait; the client is not lost by either.
   * @returns The receiver, and the first message.
   * @throws {IpcError} `Timeout`; `Disconnected` if the client goes away before its first message; `Incompatible` if it
   * came by {@linkcode IpcServer.connect}, after which the server takes another; `Corrupt` if it is not of this package;
   * `Closed`; `Deadlock` if an accept is waiting already; `System` if this process has no descriptor left for the client:
   * close some and accept again, the client goes on waiting.
   */
  async accept(options?: WaitOptions): Promise<[IpcReceiver<T>, T]> {
    const left = this.#begin(options);
    try {
      return await doAwaited(this.#accept(left, options));
    } catch (error) {
      if (mustGiveWay()) await giveWay(); // or a program that tries again and again keeps all others waiting
      throw this.#giveUp(error, options);
    } finally {
      this.#accepting = false;
    }
  }

  /**
   * The blocking twin of {@linkcode accept}.
   *
   * @param options How long to wait at most, for both together.
   * @returns The receiver, and the first message.
   * @throws {IpcError} As {@linkcode accept}.
   */
  acceptSync(options?: SyncWaitOptions): [IpcReceiver<T>, T] {
    const left = this.#begin(options);
    try {
      return doBlocking(this.#accept(left, options));
    } catch (error) {
      throw this.#giveUp(error, options);
    } finally {
      this.#accepting = false;
    }
  }

  /**
   * Takes the client and its first message if both have come.
   *
   * @returns The receiver, and the first message; `undefined` if there is none now.
   * @throws {IpcError} As {@linkcode accept}, but `Timeout`.
   */
  tryAccept(): [IpcReceiver<T>, T] | undefined {
    try {
      return this.acceptSync({ timeout: 0 });
    } catch (error) {
      if (error instanceof IpcError && error.code === "Timeout") return undefined;
      throw error;
    }
  }

  /** The client and its first message, as soon as both are there. */
  *#accept(left: () => { timeout?: number }, options: WaitOptions | undefined): Steps<[IpcReceiver<T>, T]> {
    while (this.#receiver === undefined) {
      const connection = this.#connection ??= yield* either(
        () => this.#socket.acceptSync(left()),
        () => this.#socket.accept({ ...options, ...left() }),
      );
      const { peer } = connection;
      if (!this.#allow(peer)) {
        this.#refused = peer;
      } else {
        const timeout = left().timeout ?? Infinity, patience = Math.min(timeout, HANDSHAKE_TIMEOUT);
        const introducesItself = yield* either(
          () => waitReadable(connection.fd, performance.now() + patience),
          () => this.#introducesItself(connection, { ...options, timeout: patience }),
        );
        if (introducesItself) this.#receiver = this.#welcome(connection);
        else if (patience === timeout) throw timeoutError(ACCEPT, timeout);
      }
      this.#dropConnection();
    }
    this.#socket.close();
    const receiver = this.#receiver;
    const first = yield* either(() => receiver.recvSync(left()), () => receiver.recv({ ...options, ...left() }));
    return this.#handOver(first);
  }

  /** Whether a client says who it is in time. A silent one is dropped: it may be a stranger, and waiting goes on. */
  async #introducesItself(connection: UnixSocket, options: WaitOptions): Promise<boolean> {
    try {
      await untilReadable(connection, ACCEPT, options);
      return true;
    } catch (error) {
      if (error instanceof IpcError && error.code === "Timeout") return false;
      throw error;
    }
  }

  #dropConnection(): void {
    this.#connection?.close();
    this.#connection = undefined;
    this.#leftOver = false;
  }

  #handOver(first: T): [IpcReceiver<T>, T] {
    const receiver = this.#receiver!;
    this.#receiver = undefined;
    return [receiver, first];
  }

  /**
   * Lets go of a client that could not be accepted, unless it only has to wait: for a descriptor, or for another accept as
   * the time of this one has run out.
   * Returns the error, which says how far it came if the time has run out: each step has waited for a part of it only.
   */
  #giveUp(error: unknown, options: WaitOptions | undefined): unknown {
    if (isTableFull(error)) return error;
    const hasConnected = this.#connection !== undefined, hasJoined = this.#receiver !== undefined;
    const expired = error instanceof IpcError && error.code === "Timeout";
    if (this.#closed || !(expired || options?.signal?.aborted)) this.#dropClient();
    else this.#leftOver = hasConnected;
    if (!(error instanceof IpcError) || error.code !== "Timeout") return error;
    const found = hasConnected
      ? "a client connected, but did not introduce itself"
      : hasJoined
      ? "a client connected, but sent nothing"
      : this.#refused !== undefined
      ? `process ${this.#refused.pid} of user ${this.#refused.uid} connected, and "allow" did not admit it`
      : "nobody connected; see whether the process that was to connect has ended";
    return new IpcError(
      "Timeout",
      `Cannot accept a client at "${this.name}": timed out after ${
        millisecondsText(options?.timeout ?? Infinity)
      }; ${found}`,
    );
  }

  /** Checks the state; returns a function that says how much of the time-out is left. */
  #begin(options: SyncWaitOptions | undefined): () => { timeout?: number } {
    const timeout = timeoutOf(options);
    if (this.#socket.closed && this.#receiver === undefined) {
      throw new IpcError("Closed", `Cannot accept at "${this.name}": this server was closed or has had its client`);
    }
    if (this.#accepting) {
      throw new IpcError("Deadlock", `Cannot accept at "${this.name}": an accept is waiting already`);
    }
    this.#accepting = true;
    if (timeout === Infinity) return () => ({});
    const deadline = performance.now() + timeout;
    return () => ({ timeout: Math.max(0, deadline - performance.now()) });
  }

  #welcome(connection: UnixSocket): IpcReceiver<T> | undefined {
    let handles: Handle[] | undefined;
    try {
      handles = receiveHello(connection, ONE_SHOT);
    } catch (error) {
      if (this.#leftOver && error instanceof IpcError && error.code === "Disconnected") return undefined;
      throw error;
    }
    if (handles === undefined) throw new IpcError("Corrupt", "Cannot accept a client: its connection misbehaves");
    return receiverFrom<T>({ handle: handles[0]! });
  }

  /** Stops listening, and removes the path if there is one. A pending accept rejects with `Closed`. */
  close(): void {
    this.#closed = true;
    this.#socket.close();
    if (!this.#accepting) this.#dropClient(); // else what goes on with a client goes on
  }

  #dropClient(): void {
    this.#dropConnection();
    this.#receiver?.close();
    this.#receiver = undefined;
  }

  /** Same as {@linkcode close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}
