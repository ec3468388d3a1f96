// A server that any number of clients connect to, each with a duplex of its own.
import { optionsOf } from "../ffi/arguments.ts";
import { IpcError } from "../ffi/error.ts";
import { POLLIN } from "../ffi/platform.ts";
import { pollMany } from "../ffi/poll.ts";
import { pollEventually } from "../ffi/readiness.ts";
import { isTableFull } from "../ffi/socket_message.ts";
import { type PeerCredentials, UnixSocket } from "../ffi/unix_socket.ts";
import {
  deadlineAfter,
  PendingWait,
  type SyncWaitOptions,
  timeoutError,
  timeoutOf,
  type WaitOptions,
} from "../ffi/wait.ts";
import { admissionBy } from "./admission.ts";
import type { ChannelOptions } from "./channel.ts";
import { IpcDuplex } from "./duplex.ts";
import { connectDuplex, receiveHello } from "./hello.ts";
import { HANDSHAKE_TIMEOUT, type ServerOptions } from "./one_shot_server.ts";
import { capacityOf } from "./ring_memory.ts";
import { IpcReceiver } from "./receiver.ts";
import { IpcSender } from "./sender.ts";
import { capacityInName, freshServerName, MANY } from "./server_kind.ts";

/**
 * Options of {@linkcode IpcServer}.
 *
 * @example Little memory for each client
 * ```ts
 * import { IpcServer, type IpcServerOptions } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const options: IpcServerOptions = { capacity: 64 * 1024 };
 * using server = new IpcServer<string, string>(options);
 * using client = IpcServer.connect<string, string>(server.name); // in another process, usually
 * let sent = 0;
 * while (client.trySend("x".repeat(1000))) sent++;
 * assertEquals(sent < 70, true);
 * ```
 */
export interface IpcServerOptions extends ServerOptions {
  /**
   * Bytes that can wait in each direction, for clients that do not say otherwise; as for `channel()`. It is part of the
   * name that the server gets, so it has no effect with a `path`: there clients say it.
   */
  capacity?: number;
}

const ACCEPT = "accept a client";
/** Clients that may wait in the kernel's queue. */
const BACKLOG = 511;

function notAllowed({ pid, uid }: PeerCredentials): IpcError {
  return new IpcError(
    "Permission",
    `Cannot accept process ${pid} of user ${uid}: "allow" says no, which without one admits the same user alone`,
  );
}

/** A client that has connected and not introduced itself yet. */
interface Guest {
  readonly connection: UnixSocket;
  readonly patience: number;
}

/**
 * Waits for clients at a name, and gives each a {@linkcode IpcDuplex} of its own. A client that misbehaves, or does not
 * introduce itself, is dropped, and holds nobody up.
 *
 * @typeParam Out What the server sends.
 * @typeParam In What the server receives.
 *
 * @example
 * ```ts
 * import { IpcServer } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * using server = new IpcServer<number, string>();
 * using client = IpcServer.connect<string, number>(server.name); // in another process, usually
 *
 * using served = await server.accept();
 * const running = served.run((text) => text.length);
 * await client.send("hello");
 * assertEquals(await client.recv(), 5);
 * client.close();
 * await running;
 * ```
 */
export class IpcServer<Out, In> implements Disposable, AsyncIterable<IpcDuplex<Out, In>> {
  /** What clients connect to. */
  readonly name: string;
  readonly #socket: UnixSocket;
  readonly #allow: (peer: PeerCredentials) => boolean;
  readonly #ready: IpcDuplex<Out, In>[] = [];
  readonly #waits: PendingWait<IpcDuplex<Out, In>>[] = [];
  /** Guests of asynchronous accepts; those of blocking ones are theirs. */
  readonly #guests = new Set<UnixSocket>();
  /** Guests that this process had no descriptors for, when their turn came; they get another with the next accept. */
  readonly #stalled: UnixSocket[] = [];
  /** Why the last client was turned away, if none was accepted since: for whoever waits in vain. */
  #turnedAway: IpcError | undefined;
  #stopPump: AbortController | undefined;
  /** Ends the handshakes that go on. */
  readonly #closing = new AbortController();

  /**
   * Starts to listen.
   *
   * @param options Where to listen, whom to allow, and how much may wait for each client.
   * @throws {IpcError} `AlreadyExists` if a living server has that path (a dead one's is taken over) or it is some other
   * file; `NotFound` if its folder does not exist; `Permission`.
   * @throws {TypeError} If the path is longer than 107 bytes, or contains NUL.
   * @throws {RangeError} If the capacity cannot be used.
   */
  constructor(options: IpcServerOptions = {}) {
    const { path, capacity, allow } = optionsOf(options, "Cannot start a server");
    if (capacity !== undefined) capacityOf(capacity); // says what is wrong with it
    this.name = path === undefined ? freshServerName(MANY, capacity) : path;
    this.#allow = admissionBy(allow);
    this.#socket = UnixSocket.listen(this.name, { backlog: BACKLOG });
  }

  /**
   * Connects to a server. Does not wait for it to accept; messages can be sent at once. A client that is not allowed,
   * or that came to an {@linkcode IpcOneShotServer} at a path, learns of it by `Disconnected`.
   *
   * @typeParam Out What the client sends.
   * @typeParam In What the client receives.
   * @param name The server's `name`.
   * @param options The capacity of each direction.
   * @returns The client's end.
   * @throws {IpcError} `NotFound` if no server listens there; `Incompatible` if the name is that of an
   * {@linkcode IpcOneShotServer}, or the path is some other file; `AlreadyExists` if too many clients wait already;
   * `Permission`; `System` if there are no descriptors or no memory left.
   * @throws {TypeError} If the name is empty, longer than 107 bytes, or contains NUL.
   * @throws {RangeError} If the capacity cannot be used.
   */
  static connect<Out, In>(name: string, options?: ChannelOptions): IpcDuplex<Out, In> {
    const { capacity } = optionsOf(options, "Cannot connect");
    const [port, ring] = connectDuplex(name, capacity ?? capacityInName(name));
    return new IpcDuplex(new IpcSender<Out>(port), new IpcReceiver<In>(ring));
  }

  /** Whether the server was closed. */
  get closed(): boolean {
    return this.#socket.closed;
  }

  /**
   * Waits for the next client.
   *
   * @param options How long to wait at most, and how to call it off; no client is lost by either.
   * @returns The server's end of the conversation with it.
   * @throws {IpcError} `Timeout`, whose message and `cause` say why the last client was turned away, if one came;
   * `Closed`; `System` if this process has no descriptor left for a client: close some and accept again, the client
   * goes on waiting.
   */
  accept(options?: WaitOptions): Promise<IpcDuplex<Out, In>> {
    try {
      const timeout = timeoutOf(options);
      options?.signal?.throwIfAborted();
      this.#requireOpen();
      const ready = this.#ready.shift() ?? this.#nextQueued();
      if (ready !== undefined) return Promise.resolve(ready);
      if (timeout === 0) throw this.#explained(timeoutError(ACCEPT, timeout));
      const wait = new PendingWait<IpcDuplex<Out, In>>(ACCEPT, options, (given) => {
        this.#waits.splice(this.#waits.indexOf(given), 1);
        this.#restIfIdle();
      });
      this.#waits.push(wait);
      if (this.#stopPump === undefined) void this.#pump(this.#stopPump = new AbortController());
      return wait.promise.catch((error) => {
        throw this.#explained(error);
      });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** With the reason why nobody was accepted, if somebody came. */
  #explained(error: unknown): unknown {
    const reason = this.#turnedAway;
    if (reason === undefined || !(error instanceof IpcError) || error.code !== "Timeout") return error;
    return new IpcError("Timeout", `${error.message}; the last one that came was turned away: ${reason.message}`, {
      cause: reason,
    });
  }

  /** A client that has connected before it was waited for. */
  #nextQueued(): IpcDuplex<Out, In> | undefined {
    for (let next = this.#nextConnection(); next !== undefined; next = this.#nextConnection()) {
      const client = this.#tryWelcome(next);
      if (client !== undefined) return client;
      if (!next.closed) void this.#introduce(next);
    }
    return undefined;
  }

  #nextConnection(): UnixSocket | undefined {
    return this.#stalled.shift() ?? this.#socket.tryAccept();
  }

  /** Takes connections as long as somebody waits for a client. */
  async #pump(stop: AbortController): Promise<void> {
    try {
      while (!stop.signal.aborted) void this.#introduce(await this.#socket.accept({ signal: stop.signal }));
    } catch (error) {
      if (stop.signal.aborted) return;
      this.#stopPump = undefined;
      this.#rejectAll(error);
    }
  }

  #rejectAll(reason: unknown): void {
    const waits = this.#waits.splice(0);
    this.#restIfIdle();
    for (const wait of waits) wait.reject(reason);
  }

  /** Nobody waits any more: further clients queue in the kernel, and the process may exit. */
  #restIfIdle(): void {
    if (this.#waits.length > 0) return;
    this.#stopPump?.abort();
    this.#stopPump = undefined;
  }

  async #introduce(connection: UnixSocket): Promise<void> {
    this.#guests.add(connection);
    let keep = false;
    try {
      const peer = connection.peer;
      if (!this.#allow(peer)) {
        this.#turnedAway = notAllowed(peer);
        return;
      }
      // As a rule the greeting came with the connection.
      const client = this.#welcome(connection, peer) ??
        (await pollEventually(connection, POLLIN, ACCEPT, {
          timeout: HANDSHAKE_TIMEOUT,
          signal: this.#closing.signal,
        }),
          this.#welcome(connection, peer));
      if (client === undefined) return;
      if (this.#socket.closed) {
        client.close();
        return;
      }
      const wait = this.#waits.shift();
      if (wait === undefined) this.#ready.push(client);
      else wait.resolve(client);
      this.#restIfIdle();
    } catch (error) {
      if (isTableFull(error) && !this.#socket.closed) {
        keep = true;
        this.#stalled.push(connection);
        this.#rejectAll(error);
      } else if (error instanceof IpcError) {
        this.#turnedAway = error; // the client's own fault, or its end
      } else {
        this.#waits.shift()?.reject(error); // what `allow` threw
      }
    } finally {
      this.#guests.delete(connection);
      if (!keep) connection.close();
    }
  }

  /** The client behind a connection; `undefined` if it has not introduced itself yet. */
  #welcome(connection: UnixSocket, peer: PeerCredentials): IpcDuplex<Out, In> | undefined {
    const handles = receiveHello(connection, MANY);
    if (handles === undefined) return undefined;
    const receiver = new IpcReceiver<In>({ handle: handles[0]!, early: [] });
    const client = new IpcDuplex<Out, In>(new IpcSender<Out>(handles[1]!), receiver, peer);
    this.#turnedAway = undefined;
    return client;
  }

  /**
   * The blocking twin of {@linkcode accept}.
   *
   * @param options How long to wait at most.
   * @returns The server's end of the conversation with the client.
   * @throws {IpcError} As {@linkcode accept}.
   */
  acceptSync(options?: SyncWaitOptions): IpcDuplex<Out, In> {
    const timeout = timeoutOf(options);
    const deadline = deadlineAfter(timeout);
    this.#requireOpen();
    const ready = this.#ready.shift();
    if (ready !== undefined) return ready;
    let guests: Guest[] = [];
    try {
      for (;;) {
        for (const { connection } of guests) {
          const client = this.#tryWelcome(connection);
          if (client !== undefined) return client;
        }
        for (let next = this.#nextConnection(); next !== undefined; next = this.#nextConnection()) {
          const client = this.#tryWelcome(next);
          if (client !== undefined) return client;
          if (!next.closed) guests.push({ connection: next, patience: performance.now() + HANDSHAKE_TIMEOUT });
        }
        const now = performance.now();
        guests = guests.filter(({ connection, patience }) => {
          if (patience <= now) connection.close();
          return !connection.closed;
        });
        if (now >= deadline) throw this.#explained(timeoutError(ACCEPT, timeout));
        const wanted = [this.#socket.fd, ...guests.map(({ connection }) => connection.fd)];
        const pollfds = new Int32Array(wanted.flatMap((fd) => [fd, POLLIN]));
        pollMany(pollfds, guests.reduce((soonest, { patience }) => Math.min(soonest, patience), deadline));
      }
    } finally {
      // Whoever has not been served may still introduce itself to the next accept.
      for (const { connection } of guests) {
        if (!connection.closed && !this.#stalled.includes(connection)) void this.#introduce(connection);
      }
    }
  }

  /**
   * A client, or `undefined`; a connection that is refused or broken is closed.
   *
   * @throws {IpcError} `System` if there is no room for its descriptors; it is kept for the next accept then.
   */
  #tryWelcome(connection: UnixSocket): IpcDuplex<Out, In> | undefined {
    if (connection.closed) return undefined;
    let keep = false;
    try {
      const peer = connection.peer;
      if (!this.#allow(peer)) {
        this.#turnedAway = notAllowed(peer);
        return undefined;
      }
      const client = this.#welcome(connection, peer);
      keep = client === undefined;
      return client;
    } catch (error) {
      if (isTableFull(error)) {
        keep = true;
        this.#stalled.push(connection);
        throw error;
      }
      if (!(error instanceof IpcError)) throw error;
      this.#turnedAway = error;
      return undefined;
    } finally {
      if (!keep) connection.close();
    }
  }

  /** Iterates over the clients until the server is closed. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<IpcDuplex<Out, In>> {
    while (!this.#socket.closed) {
      try {
        yield await this.accept();
      } catch (error) {
        if (this.#socket.closed) return;
        throw error;
      }
    }
  }

  #requireOpen(): void {
    if (this.#socket.closed) throw new IpcError("Closed", `Cannot accept at "${this.name}": the server was closed`);
  }

  /** Stops listening, and removes the path if there is one. Clients that were accepted are not touched. */
  close(): void {
    if (this.#socket.closed) return;
    this.#socket.close();
    const waits = this.#waits.splice(0);
    this.#restIfIdle();
    for (const client of this.#ready.splice(0)) client.close();
    const reason = new IpcError(
      "Closed",
      `Cannot accept at "${this.name}": the server was closed while it was awaited`,
    );
    this.#closing.abort(reason);
    for (const connection of [...this.#guests, ...this.#stalled.splice(0)]) connection.close();
    for (const wait of waits) wait.reject(reason);
  }

  /** Same as {@linkcode close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}
