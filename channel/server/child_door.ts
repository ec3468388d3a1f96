// Where a parent waits for the child that it has started: of all that connect, the one that has the token.
import { IpcError } from "../../base/error.ts";
import { step } from "../../base/step_hook.ts";
import { untilReadable } from "../../ffi/event/readable.ts";
import { isTableFull } from "../../ffi/socket/socket_message.ts";
import { UnixSocket } from "../../ffi/socket/unix_socket.ts";
import type { PeerCredentials } from "../../ffi/socket/socket_types.ts";
import { receiveHello } from "../endpoint/handshake.ts";
import { MANY } from "../endpoint/server_kind.ts";
import type { Handle } from "../ring/handle.ts";
import { Guests } from "./guests.ts";
import { HANDSHAKE_TIMEOUT } from "./admission.ts";
import type { ParentName } from "./parent_name.ts";

/** Connections that are looked at once the program has ended: who made them did so before. */
const MOST_LOOKS = 64;

/** Makes this side's end of the conversation: what it sends through, what it receives from, and who the child is. */
export type OpenEnd<End> = (sending: Handle, receiving: Handle, peer: PeerCredentials) => End;

/** Takes the connections to the name of a parent. */
export class ChildDoor<End extends { close(): void }> {
  readonly #socket: UnixSocket;
  readonly #token: Uint8Array;
  readonly #openEnd: OpenEnd<End>;
  readonly #guests = new Guests();
  readonly #open = new Set<UnixSocket>();
  readonly #closing = new AbortController();
  readonly #settled = Promise.withResolvers<void>();
  #end: End | undefined;

  constructor(name: ParentName, openEnd: OpenEnd<End>) {
    this.#token = name.token;
    this.#openEnd = openEnd;
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
    if (connection.closed || this.#end !== undefined) return true;
    const handles = receiveHello(connection, MANY, this.#token);
    if (handles === undefined) return false;
    this.#end = this.#openEnd(handles[1]!, handles[0]!, peer);
    step("child-introduced");
    this.#settled.resolve();
    return true;
  }

  /** The child has ended: it may have introduced itself before, and not been heard of yet. */
  lookOnceMore(): void {
    const connections = [...this.#open];
    for (let looks = 0; looks < MOST_LOOKS && this.#end === undefined; looks++) {
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

  /** The end of the conversation, once the child has come; the caller's from now on. */
  take(): End | undefined {
    const end = this.#end;
    this.#end = undefined;
    return end;
  }

  /** Closes everything that was not taken. */
  close(): void {
    this.#closing.abort();
    this.#socket.close();
    for (const connection of this.#open) connection.close();
    this.#end?.close();
    this.#end = undefined;
  }
}
