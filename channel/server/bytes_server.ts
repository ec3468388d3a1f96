// A server that any number of clients connect to, each with a duplex for bytes of its own.
import { optionsOf } from "../../base/arguments.ts";
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import type { IterationOptions } from "../../base/iteration.ts";
import { cannotTravel } from "../../base/pack.ts";
import type { SyncWaitOptions, WaitOptions } from "../../base/wait.ts";
import type { ChannelOptions } from "../endpoint/channel.ts";
import { IpcBytesDuplex } from "../endpoint/bytes_duplex.ts";
import { connectDuplex } from "../endpoint/handshake.ts";
import { bytesReceiverFrom } from "../endpoint/bytes_receiver.ts";
import { messageLimitOf } from "../endpoint/receiver_core.ts";
import { bytesSenderFrom } from "../endpoint/bytes_sender.ts";
import { capacityInName, freshServerName, MANY_BYTES } from "../endpoint/server_kind.ts";
import { capacityOf } from "../ring/memory.ts";
import { admissionBy } from "./admission.ts";
import type { IpcServerOptions } from "./server.ts";
import { Reception } from "./reception.ts";

/**
 * Waits for clients at a name, and gives each an {@linkcode IpcBytesDuplex} of its own: as {@linkcode IpcServer}, for
 * conversations in byte strings.
 *
 * @example
 * ```ts
 * import { IpcBytesServer } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * using server = new IpcBytesServer();
 * using client = IpcBytesServer.connect(server.name); // in another process, usually
 *
 * using served = await server.accept();
 * const running = served.run((bytes) => bytes.toReversed());
 * await client.send(new Uint8Array([1, 2, 3]));
 * assertEquals(await client.recv(), new Uint8Array([3, 2, 1]));
 * client.close();
 * await running;
 * ```
 */
export class IpcBytesServer implements Disposable, AsyncIterable<IpcBytesDuplex> {
  static {
    cannotTravel(this.prototype, "send its name, and connect to it there");
  }

  static {
    printAs<IpcBytesServer>(IpcBytesServer.prototype, (server) => ({
      name: server.name,
      state: stateOf(server),
      backlog: server.#reception.backlog,
    }));
  }

  /** What clients connect to. */
  readonly name: string;
  readonly #reception: Reception<IpcBytesDuplex>;

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
    this.name = path === undefined ? freshServerName(MANY_BYTES, capacity) : path;
    this.#reception = new Reception(this.name, admits, (sending, receiving, peer) => {
      const client = new IpcBytesDuplex(bytesSenderFrom(sending), bytesReceiverFrom({ handle: receiving }), peer);
      if (limit !== undefined) client.limitMessages(limit);
      return client;
    });
  }

  /**
   * Connects to a server. Does not wait for it to accept; messages can be sent at once. A client that is not allowed,
   * or that came to an {@linkcode IpcOneShotServer} at a path, learns of it by `Disconnected`.
   *
   * A server for values at a path is not told apart: it receives bytes that are no CBOR, `Serialization`.
   *
   * @param name The server's `name`.
   * @param options The capacity of each direction.
   * @returns The client's end.
   * @throws {IpcError} `NotFound` if no server listens there; `Incompatible` if the name is that of another kind of server,
   * or the path is some other file; `AlreadyExists` if too many clients wait already; `Permission`; `System` if there are
   * no descriptors or no memory left.
   * @throws {TypeError} If the name is empty, longer than 107 bytes, or contains NUL.
   * @throws {RangeError} If the capacity cannot be used.
   */
  static connect(name: string, options?: ChannelOptions): IpcBytesDuplex {
    const { capacity, maxMessageBytes } = optionsOf(options, "Cannot connect");
    const limit = messageLimitOf(maxMessageBytes);
    const [port, ring] = connectDuplex(name, capacity ?? capacityInName(name), MANY_BYTES);
    const client = new IpcBytesDuplex(bytesSenderFrom(port), bytesReceiverFrom(ring));
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
  accept(options?: WaitOptions): Promise<IpcBytesDuplex> {
    return this.#reception.accept(options, false);
  }

  /**
   * Takes the next client if one has come.
   *
   * @returns The server's end of the conversation with it; `undefined` if there is none now.
   * @throws {IpcError} `Closed`; `System` as {@linkcode accept}.
   */
  tryAccept(): IpcBytesDuplex | undefined {
    return this.#reception.tryAccept();
  }

  /**
   * The blocking twin of {@linkcode accept}.
   *
   * @param options How long to wait at most.
   * @returns The server's end of the conversation with the client.
   * @throws {IpcError} As {@linkcode accept}.
   */
  acceptSync(options?: SyncWaitOptions): IpcBytesDuplex {
    return this.#reception.acceptSync(options);
  }

  /**
   * Iterates over the clients until the server is closed. While this process has hardly a descriptor left it waits, and so
   * do the clients, until others have gone.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<IpcBytesDuplex> {
    return this.#reception.values();
  }

  /**
   * Iterates over the clients, as `for await` on the server itself does, until a signal ends the loop.
   *
   * @param options What ends it.
   * @returns The clients.
   */
  values(options?: IterationOptions): AsyncIterableIterator<IpcBytesDuplex> {
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
