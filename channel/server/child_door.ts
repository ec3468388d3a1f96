// Where a parent waits for the child that it has started: of all that connect, the one that has the token.
import { IpcError } from "../../base/error.ts";
import { step } from "../../base/step_hook.ts";
import { untilReadable } from "../../ffi/event/readable.ts";
import { isTableFull } from "../../ffi/socket/socket_message.ts";
import { UnixSocket } from "../../ffi/socket/unix_socket.ts";
import type { PeerCredentials } from "../../ffi/socket/socket_types.ts";
import { receiveHello } from "../endpoint/handshake.ts";
import { MANY } from "../endpoint/server_kind.ts";
import { type IpcReceiver, receiverFrom } from "../endpoint/receiver.ts";
import { type IpcSender, senderFrom } from "../endpoint/sender.ts";
import { Guests } from "./guests.ts";
import { HANDSHAKE_TIMEOUT } from "./admission.ts";
import type { ParentName } from "./parent_name.ts";

/** Connections that are looked at once the program has ended: who made them did so before. */
const MOST_LOOKS = 64;

/** The far ends that the child has brought, and who it is. */
export interface Arrival<Out, In> {
  readonly sender: IpcSender<Out>;
  readonly receiver: IpcReceiver<In>;
  readonly peer: PeerCredentials;
}

/** Takes the connections to the name of a parent. */
export class ChildDoor<Out, In> {
  readonly #socket: UnixSocket;
  readonly #token: Uint8Array;
  readonly #maxMessageBytes: number | undefined;
  readonly #guests = new Guests();
  readonly #open = new Set<UnixSocket>();
  readonly #closing = new AbortController();
  readonly #settled = Promise.withResolvers<void>();
  #arrival: Arrival<Out, In> | undefined;

  constructor(name: ParentName, maxMessageBytes: number | undefined) {
    this.#token = name.token;
    this.#maxMessageBytes = maxMessageBytes;
    this.#socket = UnixSocket.listen(name.server);
    this.#settled.promise.catch(() => {}); // nobody may be waiting when it fails
  }

  /**
   * Resolves when the child has introduced itself. To be called once.
   *
   * @throws {IpcError} `System` if this process has no descriptor left for it.
   */
  arrived(): Promise<void> {
    void this.#accept();
    return this.#settled.promise;
  }

  async #accept(): Promise<void> {
    const { signal } = this.#closing;
    try {
      while (!signal.aborted) void this.#introduce(await this.#socket.accept({ signal }));
    } catch (error) {
      if (!signal.aborted) this.#settled.reject(error);
    }
  }

  /** Strangers may connect, and be silent: nobody waits for them. */
  async #introduce(connection: UnixSocket): Promise<void> {
    this.#open.add(connection);
    try {
      if (this.#closing.signal.aborted) return;
      const { peer } = connection;
      this.#guests.add(connection, peer.uid);
      if (this.#look(connection, peer)) return;
      const patience = { timeout: HANDSHAKE_TIMEOUT, signal: this.#closing.signal };
      await untilReadable(connection, "accept a child", patience);
      this.#look(connection, peer);
    } catch (error) {
      // What a stranger does wrong is no news. This process's own trouble is.
      if (isTableFull(error)) this.#settled.reject(error);
    } finally {
      this.#guests.delete(connection);
      this.#open.delete(connection);
      connection.close();
    }
  }

  /** Reads what a connection sent. `false` if that is nothing yet. */
  #look(connection: UnixSocket, peer: PeerCredentials): boolean {
    if (connection.closed || this.#arrival !== undefined) return true;
    const handles = receiveHello(connection, MANY, this.#token);
    if (handles === undefined) return false;
    const receiver = receiverFrom<In>({ handle: handles[0]! });
    if (this.#maxMessageBytes !== undefined) receiver.limitMessages(this.#maxMessageBytes);
    this.#arrival = { sender: senderFrom<Out>(handles[1]!), receiver, peer };
    step("child-introduced");
    this.#settled.resolve();
    return true;
  }

  /** The child has ended: it may have introduced itself before, and not been heard of yet. */
  lookOnceMore(): void {
    const connections = [...this.#open];
    for (let looks = 0; looks < MOST_LOOKS && this.#arrival === undefined; looks++) {
      const connection = connections.shift() ?? this.#socket.tryAccept();
      if (connection === undefined) return;
      this.#open.add(connection); // to be closed with the others
      try {
        this.#look(connection, connection.peer);
      } catch (error) {
        if (!(error instanceof IpcError) || isTableFull(error)) throw error;
      }
    }
  }

  /** What the child has brought; the caller's from now on. */
  take(): Arrival<Out, In> | undefined {
    const arrival = this.#arrival;
    this.#arrival = undefined;
    return arrival;
  }

  /** Closes everything that was not taken. */
  close(): void {
    this.#closing.abort();
    this.#socket.close();
    for (const connection of this.#open) connection.close();
    this.#arrival?.sender.close();
    this.#arrival?.receiver.close();
    this.#arrival = undefined;
  }
}
