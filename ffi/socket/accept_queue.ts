// The listening side of a socket: clients that come, and those who wait for them.
//
// The event loop accepts stream sockets, without a thread. It may do so earlier than anybody asks, and then
// silently give up: what it took is kept, and who waits looks itself now and then.
import { IpcError } from "../../base/error.ts";
import { giveWay, mustGiveWay, turned } from "../../base/event_loop.ts";
import {
  deadlineAfter,
  PendingWait,
  type SyncWaitOptions,
  timeoutError,
  timeoutOf,
  type WaitOptions,
} from "../../base/wait.ts";
import { acceptClients } from "../event/adopt.ts";
import { pollMany, pollUntil } from "../event/poll.ts";
import { pollEventually } from "../event/readiness.ts";
import { IpcFd } from "../file/fd.ts";
import { descriptorLimit } from "../file/resources.ts";
import { check, libc, systemError } from "../libc/libc.ts";
import { EAGAIN, ECONNABORTED, EINTR, F_DUPFD_CLOEXEC, POLLIN, SOCK_CLOEXEC, SOCK_NONBLOCK } from "../libc/platform.ts";
import { runtime } from "../runtime/mod.ts";
import type { Acceptor, TakenConnection, Timer } from "../runtime/runtime.ts";
import type { UnixSocketType } from "./socket_types.ts";

/** Clients that may wait for an accept here, beside those in the kernel's queue; further ones are dropped. */
const MAX_EARLY = 512;
/** The part of the descriptor table that those may take which say nothing. */
const EARLY_SHARE = 8;
/** Milliseconds that they have to say something, where there are more. */
const EARLY_PATIENCE = 200;

/** Milliseconds between two looks whether the event loop has left a client waiting. */
const LOOK_EVERY = 1000;

/** A client that came while nobody was waiting for it. */
interface EarlyClient {
  readonly fd: IpcFd;
  /** When it came, on the clock of `performance.now()`. */
  readonly cameAt: number;
}

/** Accepts the clients of one listening socket. */
export class AcceptQueue {
  readonly #socket: IpcFd;
  readonly #type: UnixSocketType;
  readonly #pending = new Set<PendingWait<IpcFd>>();
  #acceptor: Acceptor | undefined;
  #lookTimer: Timer | undefined;
  /** Connections that came in while no accept was waiting any more. */
  readonly #early: EarlyClient[] = [];
  /** Connections that the event loop took, for which no descriptor of our own was to be had yet. */
  readonly #held: TakenConnection[] = [];

  /** @param socket The listening socket, which stays its owner's. */
  constructor(socket: IpcFd, type: UnixSocketType) {
    this.#socket = socket;
    this.#type = type;
  }

  /**
   * Takes the next client if one is waiting.
   *
   * @throws {IpcError} `Closed`; `System` if this process has no descriptor left: the client goes on waiting.
   */
  tryAccept(): IpcFd | undefined {
    const early = this.#early.shift()?.fd ?? this.#takeHeld();
    if (early !== undefined) return early;
    const { c, errnoCell } = libc();
    for (;;) {
      const fd = c.accept4(this.#socket.fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC);
      const errno = errnoCell[0]!;
      if (fd >= 0) return new IpcFd(fd);
      if (errno === EAGAIN) return undefined;
      // A client that gave up in the queue is not the server's failure.
      if (errno !== EINTR && errno !== ECONNABORTED) {
        throw systemError("Cannot accept a client", "accept4", errno);
      }
    }
  }

  /** Blocks until a client connects. */
  acceptSync(options?: SyncWaitOptions): IpcFd {
    const timeout = timeoutOf(options);
    const deadline = timeout === 0 ? 0 : deadlineAfter(timeout);
    for (;;) {
      const client = this.tryAccept();
      if (client !== undefined) return client;
      if (pollUntil(this.#socket.fd, POLLIN, deadline) === 0) throw timeoutError("accept a client", timeout);
    }
  }

  /** Waits until a client connects. */
  async accept(options?: WaitOptions): Promise<IpcFd> {
    const timeout = timeoutOf(options);
    options?.signal?.throwIfAborted();
    const ready = this.tryAccept();
    // A wait is a turn of the event loop anyway, and must begin at once.
    if ((ready !== undefined || timeout === 0) && mustGiveWay()) {
      await giveWay();
      if (ready !== undefined && (this.#socket.closed || options?.signal?.aborted)) {
        if (this.#socket.closed) ready.close();
        else this.#early.unshift({ fd: ready, cameAt: performance.now() }); // for another accept
        options?.signal?.throwIfAborted();
        throw new IpcError("Closed", "Cannot accept a client: the socket was closed");
      }
    }
    if (ready !== undefined) return ready;
    if (timeout === 0) throw timeoutError("accept a client", timeout);
    if (this.#type === "seqpacket") {
      // The event loop adopts stream sockets only.
      const deadline = deadlineAfter(timeout);
      for (;;) {
        const left = Math.max(0, deadline - performance.now());
        await pollEventually(this.#socket, POLLIN, "accept a client", {
          ...options,
          ...(timeout === Infinity ? {} : { timeout: left }),
        });
        const client = this.tryAccept();
        if (client !== undefined) return client;
      }
    }
    this.#startAcceptor(); // may find no room for a descriptor: nobody waits then
    const wait = new PendingWait<IpcFd>("accept a client", options, (given) => {
      this.#pending.delete(given);
      this.#idle();
    });
    this.#pending.add(wait);
    this.#lookLater();
    return wait.promise;
  }

  /** The event loop accepts, with a duplicate of the listening descriptor: without a thread. */
  #startAcceptor(): void {
    if (this.#acceptor !== undefined) {
      this.#acceptor.awaited(true);
      return;
    }
    const acceptor = acceptClients(this.#socket, (connection) => this.#onConnection(connection), (error) => {
      if (this.#acceptor === acceptor) this.stop(error);
    });
    this.#acceptor = acceptor;
  }

  #onConnection(connection: TakenConnection): void {
    turned();
    let client: IpcFd;
    try {
      client = this.#adopt(connection);
    } catch (error) {
      // The client can wait until there is room for it, but who waits for it must know.
      connection.park();
      this.#held.push(connection);
      this.#rejectAll(error);
      return;
    }
    this.#handOver(client);
  }

  /** A descriptor of our own for a connection that the event loop took, whose own one is closed. */
  #adopt(connection: TakenConnection): IpcFd {
    const { fd } = connection;
    if (fd === undefined) {
      throw new IpcError("Unsupported", "Cannot accept a client: this version of the runtime hides its descriptor");
    }
    const { c, errnoCell } = libc();
    const own = check(c.fcntl(fd, F_DUPFD_CLOEXEC, 3), errnoCell[0]!, "fcntl", "Cannot accept a client");
    connection.drop();
    return new IpcFd(own);
  }

  #takeHeld(): IpcFd | undefined {
    const connection = this.#held[0];
    if (connection === undefined) return undefined;
    const client = this.#adopt(connection);
    this.#held.shift();
    return client;
  }

  #handOver(client: IpcFd): void {
    for (const wait of this.#pending) {
      this.#pending.delete(wait);
      if (wait.resolve(client)) {
        this.#idle();
        return;
      }
    }
    this.#early.push({ fd: client, cameAt: performance.now() });
    const most = Math.min(MAX_EARLY, Math.floor(descriptorLimit().soft / EARLY_SHARE));
    if (this.#early.length > most) this.#dropEarly();
  }

  /** Many wait here: drops who has said nothing for longest; of far too many, the last that came if all have. */
  #dropEarly(): void {
    const pollfds = new Int32Array(this.#early.flatMap(({ fd }) => [fd.fd, POLLIN]));
    pollMany(pollfds, 0);
    const before = this.#early.length > MAX_EARLY ? Infinity : performance.now() - EARLY_PATIENCE;
    const silent = this.#early.findIndex(({ cameAt }, i) => cameAt < before && pollfds[2 * i + 1]! >>> 16 === 0);
    if (silent >= 0) this.#early.splice(silent, 1)[0]!.fd.close();
    else if (this.#early.length > MAX_EARLY) this.#early.pop()!.fd.close();
  }

  /**
   * The event loop silently gives up accepting when an accept fails for want of a descriptor; seen in Deno 2.9.
   * So who waits looks itself now and then whether somebody is kept waiting.
   */
  #lookLater(): void {
    if (this.#lookTimer !== undefined) return;
    this.#lookTimer = setTimeout(() => {
      this.#lookTimer = undefined;
      if (this.#pending.size === 0) return;
      try {
        const client = this.tryAccept();
        if (client !== undefined) {
          this.#dropAcceptor();
          this.#handOver(client);
          if (this.#pending.size > 0) this.#startAcceptor();
        }
      } catch (error) {
        this.stop(error);
      }
      if (this.#pending.size > 0) this.#lookLater();
    }, LOOK_EVERY);
    runtime.timerAwaited(this.#lookTimer, false);
  }

  /**
   * Nobody waits: the process may exit. The acceptor stays, as the runtime takes several clients from the kernel at a time,
   * and drops those that it has not announced yet when it is closed.
   */
  #idle(): void {
    if (this.#pending.size > 0) return;
    this.#acceptor?.awaited(false);
    clearTimeout(this.#lookTimer);
    this.#lookTimer = undefined;
  }

  /** Ends all waits. */
  stop(reason: unknown): void {
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
    const waits = [...this.#pending];
    this.#pending.clear();
    this.#idle();
    for (const wait of waits) wait.reject(reason);
  }

  /** Ends all waits, and closes the clients that nobody has taken. */
  close(): void {
    this.stop(new IpcError("Closed", "Cannot accept a client: the socket was closed"));
    for (const { fd } of this.#early.splice(0)) fd.close();
    for (const connection of this.#held.splice(0)) connection.drop();
  }
}
