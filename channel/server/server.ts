// A server that any number of clients connect to, each with a duplex of its own.
import { optionsOf } from "../../base/arguments.ts";
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import type { IterationOptions } from "../../base/iteration.ts";
import { cannotTravel } from "../../base/pack.ts";
import type { SyncWaitOptions, WaitOptions } from "../../base/wait.ts";
import type { ChannelOptions } from "../endpoint/channel.ts";
import { IpcDuplex } from "../endpoint/duplex.ts";
import { connectDuplex } from "../endpoint/handshake.ts";
import { receiverFrom } from "../endpoint/receiver.ts";
import { messageLimitOf } from "../endpoint/receiver_core.ts";
import { senderFrom } from "../endpoint/sender.ts";
import { capacityInName, freshServerName, MANY } from "../endpoint/server_kind.ts";
import { capacityOf } from "../ring/memory.ts";
import { admissionBy } from "./admission.ts";
import type { ServerOptions } from "./one_shot_server.ts";
import { Reception } from "./reception.ts";

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
 * introduce itself, is dropped, and delays no other.
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
      backlog: server.#reception.backlog,
    }));
  }

  /** What clients connect to. */
  readonly name: string;
  readonly #reception: Reception<IpcDuplex<Out, In>>;

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
    this.#reception = new Reception(this.name, admits, (sending, receiving, peer) => {
      const client = new IpcDuplex(senderFrom<Out>(sending), receiverFrom<In>({ handle: receiving }), peer);
      if (limit !== undefined) client.limitMessages(limit);
      return client;
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
    const [port, ring] = connectDuplex(name, capacity ?? capacityInName(name), MANY);
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
    return this.#reception.closed;
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
    return this.#reception.accept(options, false);
  }

  /**
   * Takes the next client if one has come.
   *
   * @returns The server's end of the conversation with it; `undefined` if there is none now.
   * @throws {IpcError} `Closed`; `System` as {@linkcode accept}.
   */
  tryAccept(): IpcDuplex<Out, In> | undefined {
    return this.#reception.tryAccept();
  }

  /**
   * The blocking twin of {@linkcode accept}.
   *
   * @param options How long to wait at most.
   * @returns The server's end of the conversation with the client.
   * @throws {IpcError} As {@linkcode accept}.
   */
  acceptSync(options?: SyncWaitOptions): IpcDuplex<Out, In> {
    return this.#reception.acceptSync(options);
  }

  /**
   * Iterates over the clients until the server is closed. While this process has hardly a descriptor left it waits, and so
   * do the clients, until others have gone.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<IpcDuplex<Out, In>> {
    return this.#reception.values();
  }

  /**
   * Iterates over the clients, as `for await` on the server itself does, until a signal ends the loop.
   *
   * @param options What ends it.
   * @returns The clients.
   */
  values(options?: IterationOptions): AsyncIterableIterator<IpcDuplex<Out, In>> {
    return this.#reception.values(options);
  }

  /** Stops listening, and removes the path if there is one. Clients that were accepted are not touched. */
  close(): void {
    this.#reception.close();
  }

  /** Same as {@linkcode close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}
