// Takes the connections of a server, and lets clients in: who is allowed, has introduced itself, and for whom there is room.
import { IpcError } from "../../base/error.ts";
import { untilReadable } from "../../ffi/event/readable.ts";
import { descriptorLimit } from "../../ffi/file/resources.ts";
import { ensureRoomForFds, isTableFull } from "../../ffi/socket/socket_message.ts";
import type { UnixSocket } from "../../ffi/socket/unix_socket.ts";
import type { PeerCredentials } from "../../ffi/socket/socket_types.ts";
import type { Handle } from "../ring/handle.ts";
import { Crowd } from "./crowd.ts";
import { Guests } from "./guests.ts";
import { HELLO_FDS, receiveHello } from "../endpoint/handshake.ts";
import { HANDSHAKE_TIMEOUT } from "./admission.ts";
import { MANY } from "../endpoint/server_kind.ts";

/** Descriptors that a loop over clients leaves free for what the program does for them, at most; and which part of all. */
const MOST_SPARE = 64, SPARE_SHARE = 16;

/** Descriptors that are kept for processes that have few clients, at most; and which part of all. */
const MOST_RESERVED = 128, RESERVED_SHARE = 8;

/**
 * Clients that wait because their process has enough of them, while there are few descriptors, at most; and which part of
 * all. If there are more, nobody else is taken in until there is room; unless nothing moves for so many milliseconds, as
 * the peer that has the others holds them: then those that wait are dropped.
 */
const MOST_PARKED = 64, PARKED_SHARE = 32, PARKED_PATIENCE = 2000;

/** Connections that are looked at in one call: a peer may make them all the time. */
export const MOST_LOOKS = 64;

/** Where the descriptor table is nearly full: milliseconds until those who wait for clients look again. */
export const LOOK_AGAIN = 10;

/** Why a client waits. */
const CROWDED = new Error("A process has many clients, and there are few descriptors left");

/** What the one who waits for clients is asked, and told. */
interface Waiters {
  /** Whether descriptors are to be left free for what is done for the client. */
  readonly patient: boolean;
  /** A client waits until there is more room: look again later. */
  parked(): void;
}

/** The server's end of a conversation with a client. */
export interface ServedClient extends Disposable {
  readonly closed: boolean;
  close(): void;
}

/** Makes such an end. It owns the handles. */
export type ClientMaker<Client> = (sending: Handle, receiving: Handle, peer: PeerCredentials) => Client;

/** The connections of one server that are no clients yet. */
export class Doorman<Client extends ServedClient> {
  readonly guests = new Guests();
  readonly #socket: UnixSocket;
  readonly #allow: (peer: PeerCredentials) => boolean;
  readonly #makeClient: ClientMaker<Client>;
  readonly #waiters: Waiters;
  readonly #crowd = new Crowd();
  /** Guests that this process had no descriptors for, when their turn came; they get another with the next accept. */
  readonly #stalled: UnixSocket[] = [];
  /** Guests whose process has many clients, where there are few descriptors. */
  readonly #parked: UnixSocket[] = [];
  /** When a client was accepted last. */
  #movedAt = performance.now();
  /** Why the last client was turned away, if none was accepted since: for a caller that waits in vain. */
  #turnedAway: IpcError | undefined;
  /** Ends the handshakes that go on. */
  readonly #closing = new AbortController();

  constructor(
    socket: UnixSocket,
    allow: (peer: PeerCredentials) => boolean,
    makeClient: ClientMaker<Client>,
    waiters: Waiters,
  ) {
    this.#socket = socket;
    this.#allow = allow;
    this.#makeClient = makeClient;
    this.#waiters = waiters;
  }

  /** A `Timeout`, with the reason why nobody was accepted, if somebody came. */
  explained(error: IpcError): IpcError {
    const reason = this.#turnedAway;
    if (reason === undefined) return error;
    return new IpcError("Timeout", `${error.message}; the last one that came was turned away: ${reason.message}`, {
      cause: reason,
    });
  }

  /**
   * A client that has connected before it was waited for.
   *
   * @param introduce Told of those that have not introduced themselves yet.
   */
  nextQueued(introduce: (connection: UnixSocket) => void): Client | undefined {
    this.callParked();
    for (let looks = 0; looks < MOST_LOOKS; looks++) {
      const next = this.next();
      if (next === undefined) return undefined;
      const client = this.tryWelcome(next);
      if (client !== undefined) return client;
      if (!next.closed && !this.isParked(next)) introduce(next);
    }
    return undefined;
  }

  /** The next connection, if there is one. */
  next(): UnixSocket | undefined {
    return this.#stalled.shift() ?? (this.isFull ? undefined : this.#socket.tryAccept());
  }

  /** Whether so many are parked that no other connection is to be taken. */
  get isFull(): boolean {
    const most = Math.min(MOST_PARKED, Math.max(2, Math.floor(descriptorLimit().soft / PARKED_SHARE)));
    if (this.#parked.length < most) return false;
    if (performance.now() - this.#movedAt < PARKED_PATIENCE) return true;
    this.#turnedAway = new IpcError(
      "Permission",
      "Cannot accept another client of a process that has many: there are few descriptors left, and it closes none",
    );
    for (const connection of this.#parked.splice(0)) connection.close();
    return false;
  }

  /**
   * A client, or `undefined`; a connection that is refused or broken is closed.
   *
   * @throws {IpcError} `System` if there is no room for its descriptors; it is kept for the next accept then.
   */
  tryWelcome(connection: UnixSocket): Client | undefined {
    if (connection.closed) return undefined;
    let keep = false;
    try {
      const { peer } = connection;
      if (!this.#admits(peer)) return undefined;
      const client = this.#welcome(connection, peer);
      keep = client === undefined;
      return client;
    } catch (error) {
      keep = this.keeps(connection, error);
      if (isTableFull(error) || !(keep || error instanceof IpcError)) throw error;
      return undefined;
    } finally {
      if (!keep) connection.close();
    }
  }

  /**
   * A client, when it has introduced itself; `undefined` if it is refused, or says nothing in time.
   *
   * @throws {IpcError} What is wrong with it: see {@linkcode keeps}.
   */
  async introduced(connection: UnixSocket): Promise<Client | undefined> {
    const { peer } = connection;
    if (!this.#admits(peer)) return undefined;
    this.guests.add(connection, peer.uid);
    try {
      // As a rule the greeting came with the connection.
      const client = this.#welcome(connection, peer);
      if (client !== undefined) return client;
      const patience = { timeout: HANDSHAKE_TIMEOUT, signal: this.#closing.signal };
      await untilReadable(connection, "accept a client", patience);
      return this.#welcome(connection, peer);
    } finally {
      this.guests.delete(connection);
    }
  }

  #admits(peer: PeerCredentials): boolean {
    if (this.#allow(peer)) return true;
    this.#turnedAway = new IpcError(
      "Permission",
      `Cannot accept process ${peer.pid} of user ${peer.uid}: "allow" says no, which without one admits the same user alone`,
    );
    return false;
  }

  /** Whether a connection is kept after an error, for another try; if not, why its client was turned away is noted. */
  keeps(connection: UnixSocket, error: unknown): boolean {
    if (this.#socket.closed) return false;
    if (error === CROWDED) {
      this.#park(connection);
      return true;
    }
    if (isTableFull(error)) {
      this.#stalled.push(connection);
      return true;
    }
    if (error instanceof IpcError) this.#turnedAway = error; // the client's own fault, or its end
    return false;
  }

  /** The client behind a connection; `undefined` if it has not introduced itself yet. */
  #welcome(connection: UnixSocket, peer: PeerCredentials): Client | undefined {
    this.#requireRoomFor(peer);
    const handles = receiveHello(connection, MANY);
    if (handles === undefined) return undefined;
    const client = this.#makeClient(handles[1]!, handles[0]!, peer);
    this.#crowd.add(peer, client);
    this.#movedAt = performance.now();
    this.#turnedAway = undefined;
    return client;
  }

  /**
   * Makes sure that there is room for a client, and for what is done for it.
   *
   * @throws {IpcError} `System` if there is not.
   */
  requireSpare(more = 0): void {
    const spare = Math.min(MOST_SPARE, Math.floor(descriptorLimit().soft / SPARE_SHARE));
    ensureRoomForFds(this.#socket.fd, HELLO_FDS + spare + more, "Cannot accept a client");
  }

  /** Makes sure that there is room for one more client of a process, and for others. */
  #requireRoomFor(peer: PeerCredentials): void {
    try {
      this.requireSpare(Math.min(MOST_RESERVED, Math.floor(descriptorLimit().soft / RESERVED_SHARE)));
    } catch {
      if (!this.#crowd.hasFew(peer)) throw CROWDED;
      if (this.#waiters.patient) this.requireSpare();
    }
  }

  /** It waits until there is more room, or its process has fewer clients. */
  #park(connection: UnixSocket): void {
    this.#parked.push(connection);
    this.#waiters.parked();
  }

  /** Whether any connection is parked. */
  get hasParked(): boolean {
    return this.#parked.length > 0;
  }

  /** Whether a connection waits for more room, or for its process to have fewer clients. */
  isParked(connection: UnixSocket): boolean {
    return this.#parked.includes(connection);
  }

  /** Whether a connection waits for descriptors. */
  isStalled(connection: UnixSocket): boolean {
    return this.#stalled.includes(connection);
  }

  /** Gives those that are parked another try. */
  callParked(): void {
    if (this.#parked.length > 0) this.#stalled.push(...this.#parked.splice(0));
  }

  /** Closes every connection that is no client yet. */
  close(reason: unknown): void {
    this.#closing.abort(reason);
    this.guests.close();
    for (const connection of [...this.#stalled.splice(0), ...this.#parked.splice(0)]) connection.close();
  }
}
