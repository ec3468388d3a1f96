// A server that any number of clients connect to, each with a duplex of its own.
import { optionsOf } from "../../base/arguments.ts";
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import { IpcError } from "../../base/error.ts";
import { afterOthers, giveWay, mustGiveWay } from "../../base/event_loop.ts";
import { CALLED_OFF, iterate, type IterationOptions } from "../../base/iteration.ts";
import { waitAnyReadable } from "../../ffi/event/readable.ts";
import { isTableFull } from "../../ffi/socket/socket_message.ts";
import { UnixSocket } from "../../ffi/socket/unix_socket.ts";
import {
  deadlineAfter,
  PendingWait,
  type SyncWaitOptions,
  timeoutError,
  timeoutOf,
  type WaitOptions,
} from "../../base/wait.ts";
import { admissionBy } from "./admission.ts";
import type { ChannelOptions } from "../endpoint/channel.ts";
import { IpcDuplex } from "../endpoint/duplex.ts";
import { Doorman, MOST_LOOKS } from "./doorman.ts";
import { connectDuplex } from "../endpoint/handshake.ts";
import { HANDSHAKE_TIMEOUT, type ServerOptions } from "./one_shot_server.ts";
import { messageLimitOf } from "../endpoint/receiver_core.ts";
import { capacityOf } from "../ring/memory.ts";
import { receiverFrom } from "../endpoint/receiver.ts";
import { senderFrom } from "../endpoint/sender.ts";
import { capacityInName, freshServerName, MANY } from "../endpoint/server_kind.ts";
import { cannotTravel } from "../../base/pack.ts";

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
  /** Bytes that a message of a client may have, as for `channel()`. */
  maxMessageBytes?: number;
}

const ACCEPT = "accept a client";
/** Clients that may wait in the kernel's queue. */
const BACKLOG = 511;

/**
 * Clients in a row that are accepted before the event loop has its turn: those that have hung up meanwhile are heard of, and
 * their descriptors free, before there are many more of them than are really there.
 */
const AT_ONCE = 4;

/** Where the descriptor table is nearly full: milliseconds until a loop over clients looks again. */
const LOOK_AGAIN = 10;

/** A client that has connected and not introduced itself yet; of a blocking accept. */
interface Guest {
  readonly connection: UnixSocket;
  readonly patience: number;
}

/** Somebody who waits for a client. */
interface Waiting<Client> {
  readonly wait: PendingWait<Client>;
  /** Milliseconds until it gives up, from when the event loop had its turn. */
  timeout: number;
  /** Whether it also waits for descriptors, while there are none: a loop over clients does. */
  readonly patient: boolean;
}

/**
 * The client's end of a conversation with a server of a type.
 *
 * @typeParam Server The type of the server.
 *
 * @example
 * ```ts
 * import { type ClientOf, IpcServer } from "@isthmus/ipc";
 *
 * type Lengths = IpcServer<number, string>;
 * using server: Lengths = new IpcServer();
 * using client: ClientOf<Lengths> = IpcServer.connect(server.name); // an IpcDuplex<string, number>
 * client.sendSync("hello");
 * ```
 */
export type ClientOf<Server> = Server extends IpcServer<infer Out, infer In> ? IpcDuplex<In, Out> : never;

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
  static {
    cannotTravel(this.prototype, "send its name, and connect to it there");
  }

  static {
    printAs<IpcServer<unknown, unknown>>(IpcServer.prototype, (server) => ({
      name: server.name,
      state: stateOf(server),
      backlog: server.#ready.length,
    }));
  }

  /** What clients connect to. */
  readonly name: string;
  readonly #socket: UnixSocket;
  readonly #doorman: Doorman<Out, In>;
  readonly #ready: IpcDuplex<Out, In>[] = [];
  readonly #waits: Waiting<IpcDuplex<Out, In>>[] = [];
  /** Clients accepted since the event loop had its turn. */
  #inARow = 0;
  #lookAgain: ReturnType<typeof setTimeout> | undefined;
  #stopPump: AbortController | undefined;

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
    const { path, capacity, maxMessageBytes, allow } = optionsOf(options, "Cannot start a server");
    if (capacity !== undefined) capacityOf(capacity); // says what is wrong with it
    const limit = messageLimitOf(maxMessageBytes), admits = admissionBy(allow);
    this.name = path === undefined ? freshServerName(MANY, capacity) : path;
    this.#socket = UnixSocket.listen(this.name, { backlog: BACKLOG });
    const waits = this.#waits;
    this.#doorman = new Doorman(this.#socket, admits, limit, {
      get patient() {
        return waits[0]?.patient === true;
      },
      parked: () => {
        if (waits.length === 0) return;
        if (this.#doorman.isFull) this.#waitForRoom();
        else this.#lookLater();
      },
    });
  }

  /**
   * Connects to a server. Does not wait for it to accept; messages can be sent at once. A client that is not allowed,
   * or that came to an {@linkcode IpcOneShotServer} at a path, learns of it by `Disconnected`.
   *
   * `Out` and `In` are the client's own here, the other way round than those of the server. Programs that share the type of
   * the server say that instead, and cannot confuse them: `IpcServer.connect<Lengths>(name)`.
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
  static connect<Out, In>(name: string, options?: ChannelOptions): IpcDuplex<Out, In>;
  /**
   * Connects to a server of a type that both programs share.
   *
   * @typeParam Server The type of the server.
   * @param name The server's `name`.
   * @param options The capacity of each direction.
   * @returns The client's end: it sends what the server receives.
   *
   * @example One type for both programs
   * ```ts
   * import { IpcServer } from "@isthmus/ipc";
   * import { assertEquals } from "@std/assert";
   *
   * type Lengths = IpcServer<number, string>; // exported by a module that both import: answers texts by numbers
   *
   * using server: Lengths = new IpcServer();
   * using client = IpcServer.connect<Lengths>(server.name); // sends texts, receives numbers
   * client.sendSync("hello");
   * using served = await server.accept();
   * served.sendSync(served.recvSync().length);
   * assertEquals(client.recvSync() satisfies number, 5);
   * ```
   */
  // deno-lint-ignore no-explicit-any -- any server
  static connect<Server extends IpcServer<any, any>>(name: string, options?: ChannelOptions): ClientOf<Server>;
  static connect<Out, In>(name: string, options?: ChannelOptions): IpcDuplex<Out, In> {
    const { capacity, maxMessageBytes } = optionsOf(options, "Cannot connect");
    const limit = messageLimitOf(maxMessageBytes);
    const [port, ring] = connectDuplex(name, capacity ?? capacityInName(name));
    const client = new IpcDuplex(senderFrom<Out>(port), receiverFrom<In>(ring));
    if (limit !== undefined) client.limitMessages(limit);
    return client;
  }

  /** The path that it listens at; `undefined` for a name without a file. */
  get path(): string | undefined {
    return this.name.startsWith("@") ? undefined : this.name;
  }

  /** Whether the server was closed. */
  get closed(): boolean {
    return this.#socket.closed;
  }

  /**
   * Waits for the next client.
   *
   * @param options How long to wait at most, and a signal that ends the wait; no client is lost by either.
   * @returns The server's end of the conversation with it.
   * @throws {IpcError} `Timeout`, whose message and `cause` say why the last client was turned away, if one came;
   * `Closed`; `System` if this process has no descriptor left for a client: close some and accept again, the client
   * goes on waiting.
   */
  accept(options?: WaitOptions): Promise<IpcDuplex<Out, In>> {
    return this.#accept(options, false);
  }

  /**
   * Takes the next client if one has come.
   *
   * @returns The server's end of the conversation with it; `undefined` if there is none now.
   * @throws {IpcError} `Closed`; `System` as {@linkcode accept}.
   */
  tryAccept(): IpcDuplex<Out, In> | undefined {
    this.#requireOpen();
    return this.#ready.shift() ?? this.#nextQueued();
  }

  #accept(options: WaitOptions | undefined, patient: boolean): Promise<IpcDuplex<Out, In>> {
    try {
      const timeout = timeoutOf(options);
      options?.signal?.throwIfAborted();
      this.#requireOpen();
      const later = ++this.#inARow > AT_ONCE || mustGiveWay();
      if (later && timeout === 0) return this.#turn().then(() => this.#now());
      if (timeout === 0) return Promise.resolve(this.#now());
      if (!later) {
        const ready = this.#nextFor(patient);
        if (ready !== undefined) return Promise.resolve(ready);
      }
      const { signal } = options ?? {};
      const wait = new PendingWait<IpcDuplex<Out, In>>(
        ACCEPT,
        later ? signal && { signal } : options,
        () => this.#forget(item),
        (timeout) => this.#doorman.explained(timeoutError(ACCEPT, timeout)),
      );
      const item: Waiting<IpcDuplex<Out, In>> = { wait, timeout: later ? timeout : Infinity, patient };
      this.#waits.push(item);
      if (later) void this.#turn().then(() => this.#serve(item));
      else if (this.#doorman.isFull) this.#waitForRoom();
      else this.#startPump();
      return wait.promise;
    } catch (error) {
      if (patient && isTableFull(error)) return this.#acceptWhenRoom();
      return afterOthers(Promise.reject(error));
    }
  }

  #turn(): Promise<void> {
    this.#inARow = 0;
    return giveWay();
  }

  #now(): IpcDuplex<Out, In> {
    const client = this.tryAccept();
    if (client === undefined) throw this.#doorman.explained(timeoutError(ACCEPT, 0));
    return client;
  }

  /** The next client that has come. Who is patient leaves descriptors free for what is done for it. */
  #nextFor(patient: boolean): IpcDuplex<Out, In> | undefined {
    const ready = this.#ready.shift();
    if (ready !== undefined) return ready;
    if (patient) this.#doorman.requireSpare();
    return this.#nextQueued();
  }

  /** Gives a waiter what has come; begins to wait if that is nothing. */
  #serve(item: Waiting<IpcDuplex<Out, In>>): void {
    if (item.wait.settled) return;
    try {
      const client = this.#nextFor(item.patient);
      if (client === undefined) {
        item.wait.limit(item.timeout);
        item.timeout = Infinity;
        if (this.#doorman.isFull) this.#waitForRoom();
        else this.#startPump();
        return;
      }
      this.#forget(item);
      item.wait.resolve(client);
    } catch (error) {
      if (item.patient && isTableFull(error)) return this.#waitForRoom();
      this.#forget(item);
      item.wait.reject(error);
    }
  }

  #acceptWhenRoom(): Promise<IpcDuplex<Out, In>> {
    const wait = new PendingWait<IpcDuplex<Out, In>>(ACCEPT, undefined, () => {});
    this.#waits.push({ wait, timeout: Infinity, patient: true });
    this.#waitForRoom();
    return wait.promise;
  }

  #waitForRoom(): void {
    this.#stopPump?.abort();
    this.#stopPump = undefined;
    this.#lookLater();
  }

  #lookLater(): void {
    this.#lookAgain ??= setTimeout(() => {
      this.#lookAgain = undefined;
      for (const item of [...this.#waits]) this.#serve(item);
    }, LOOK_AGAIN);
  }

  #forget(item: Waiting<IpcDuplex<Out, In>>): void {
    const at = this.#waits.indexOf(item);
    if (at >= 0) this.#waits.splice(at, 1);
    this.#restIfIdle();
  }

  #callOff(pending: Promise<unknown>): void {
    const item = this.#waits.find(({ wait }) => wait.promise === pending);
    if (item === undefined) return;
    item.wait.reject(CALLED_OFF);
    this.#forget(item);
  }

  #startPump(): void {
    if (this.#stopPump === undefined) void this.#pump(this.#stopPump = new AbortController());
  }

  #nextQueued(): IpcDuplex<Out, In> | undefined {
    return this.#doorman.nextQueued((connection) => void this.#introduce(connection));
  }

  /** Takes connections as long as somebody waits for a client. */
  async #pump(stop: AbortController): Promise<void> {
    try {
      while (!stop.signal.aborted) void this.#introduce(await this.#socket.accept({ signal: stop.signal }));
    } catch (error) {
      if (stop.signal.aborted) return;
      this.#stopPump = undefined;
      this.#failed(error);
    }
  }

  /** No client can be had now. Who is patient waits until there is room for one. */
  #failed(reason: unknown): void {
    const full = isTableFull(reason) && !this.#socket.closed;
    const failing = this.#waits.filter(({ patient }) => !full || !patient);
    for (const item of failing) this.#forget(item);
    if (this.#waits.length > 0) this.#waitForRoom();
    for (const { wait } of failing) wait.reject(reason);
  }

  /** Nobody waits any more: further clients queue in the kernel, and the process may exit. */
  #restIfIdle(): void {
    if (this.#waits.length > 0) return;
    this.#stopPump?.abort();
    this.#stopPump = undefined;
    clearTimeout(this.#lookAgain);
    this.#lookAgain = undefined;
  }

  async #introduce(connection: UnixSocket): Promise<void> {
    let keep = false;
    try {
      const client = await this.#doorman.introduced(connection);
      if (client === undefined) return;
      if (this.#socket.closed) {
        client.close();
        return;
      }
      const wait = this.#waits.shift();
      if (wait === undefined) this.#ready.push(client);
      else wait.wait.resolve(client);
      this.#restIfIdle();
    } catch (error) {
      keep = this.#doorman.keeps(connection, error);
      if (keep) {
        if (isTableFull(error)) this.#failed(error);
      } else if (!(error instanceof IpcError)) {
        this.#waits.shift()?.wait.reject(error); // what `allow` threw
        this.#restIfIdle();
      }
    } finally {
      if (!keep) connection.close();
    }
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
    const doorman = this.#doorman;
    let guests: Guest[] = [];
    try {
      for (;;) {
        for (const { connection } of guests) {
          const client = doorman.tryWelcome(connection);
          if (client !== undefined) return client;
        }
        for (let looks = 0; looks < MOST_LOOKS; looks++) {
          const next = doorman.next();
          if (next === undefined) break;
          const client = doorman.tryWelcome(next);
          if (client !== undefined) return client;
          if (next.closed || doorman.isParked(next)) continue;
          doorman.guests.add(next, next.peer.uid);
          guests.push({ connection: next, patience: performance.now() + HANDSHAKE_TIMEOUT });
        }
        const now = performance.now();
        guests = guests.filter(({ connection, patience }) => {
          if (patience <= now) connection.close();
          const gone = connection.closed || doorman.isParked(connection);
          if (gone) doorman.guests.delete(connection);
          return !gone;
        });
        if (now >= deadline) throw this.#doorman.explained(timeoutError(ACCEPT, timeout));
        const wanted = [this.#socket.fd, ...guests.map(({ connection }) => connection.fd)];
        const soonest = guests.reduce((soonest, { patience }) => Math.min(soonest, patience), deadline);
        waitAnyReadable(wanted, doorman.hasParked ? Math.min(soonest, now + LOOK_AGAIN) : soonest);
        doorman.callParked();
      }
    } finally {
      // Whoever has not been served may still introduce itself to the next accept.
      for (const { connection } of guests) {
        doorman.guests.delete(connection);
        if (!connection.closed && !doorman.isStalled(connection)) void this.#introduce(connection);
      }
    }
  }

  /**
   * Iterates over the clients until the server is closed. While this process has hardly a descriptor left it waits, and so
   * do the clients, until others have gone.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<IpcDuplex<Out, In>> {
    return this.values();
  }

  /**
   * Iterates over the clients, as `for await` on the server itself does, until a signal ends the loop.
   *
   * @param options What ends it.
   * @returns The clients.
   */
  values(options?: IterationOptions): AsyncIterableIterator<IpcDuplex<Out, In>> {
    const closed = () => this.closed;
    return iterate<IpcDuplex<Out, In>>({
      get closed() {
        return closed();
      },
      next: () => this.#accept(undefined, true),
      callOff: (pending) => this.#callOff(pending),
    }, options);
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
    this.#doorman.close(reason);
    for (const { wait } of waits) wait.reject(reason);
  }

  /** Same as {@linkcode close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}
