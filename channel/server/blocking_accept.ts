// A blocking accept: looks after connections that have not introduced themselves yet, until one of them is a client.
import { waitAnyReadable } from "../../ffi/event/readable.ts";
import type { UnixSocket } from "../../ffi/socket/unix_socket.ts";
import { HANDSHAKE_TIMEOUT } from "./admission.ts";
import { type Doorman, LOOK_AGAIN, MOST_LOOKS, type ServedClient } from "./doorman.ts";

/** A client that has connected and not introduced itself yet. */
interface Guest {
  readonly connection: UnixSocket;
  /** When it is dropped. */
  readonly patience: number;
}

/** One blocking accept of a server. */
export class BlockingAccept<Client extends ServedClient> implements Disposable {
  readonly #socket: UnixSocket;
  readonly #doorman: Doorman<Client>;
  readonly #introduce: (connection: UnixSocket) => void;
  #guests: Guest[] = [];

  /** @param introduce Told at the end of those that have not introduced themselves: they still may. */
  constructor(socket: UnixSocket, doorman: Doorman<Client>, introduce: (connection: UnixSocket) => void) {
    this.#socket = socket;
    this.#doorman = doorman;
    this.#introduce = introduce;
  }

  /** The next client; `undefined` if none came in time. */
  before(deadline: number): Client | undefined {
    for (;;) {
      const client = this.#fromGuests() ?? this.#fromQueue();
      if (client !== undefined) return client;
      const now = performance.now();
      this.#dropSilent(now);
      if (now >= deadline) return undefined;
      this.#wait(now, deadline);
      this.#doorman.callParked();
    }
  }

  #fromGuests(): Client | undefined {
    for (const { connection } of this.#guests) {
      const client = this.#doorman.tryWelcome(connection);
      if (client !== undefined) return client;
    }
    return undefined;
  }

  #fromQueue(): Client | undefined {
    const doorman = this.#doorman;
    for (let looks = 0; looks < MOST_LOOKS; looks++) {
      const next = doorman.next();
      if (next === undefined) return undefined;
      const client = doorman.tryWelcome(next);
      if (client !== undefined) return client;
      if (next.closed || doorman.isParked(next)) continue;
      doorman.guests.add(next, next.peer.uid);
      this.#guests.push({ connection: next, patience: performance.now() + HANDSHAKE_TIMEOUT });
    }
    return undefined;
  }

  #dropSilent(now: number): void {
    this.#guests = this.#guests.filter(({ connection, patience }) => {
      if (patience <= now) connection.close();
      const gone = connection.closed || this.#doorman.isParked(connection);
      if (gone) this.#doorman.guests.delete(connection);
      return !gone;
    });
  }

  /** Until a connection comes, a guest says something or is to be dropped, or the time is over. */
  #wait(now: number, deadline: number): void {
    const wanted = [this.#socket.fd, ...this.#guests.map(({ connection }) => connection.fd)];
    const soonest = this.#guests.reduce((soonest, { patience }) => Math.min(soonest, patience), deadline);
    waitAnyReadable(wanted, this.#doorman.hasParked ? Math.min(soonest, now + LOOK_AGAIN) : soonest);
  }

  /** Those that have not been served may still introduce themselves to the next accept. */
  [Symbol.dispose](): void {
    for (const { connection } of this.#guests) {
      this.#doorman.guests.delete(connection);
      if (!connection.closed && !this.#doorman.isStalled(connection)) this.#introduce(connection);
    }
  }
}
