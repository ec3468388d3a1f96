// The clients of a server that have come, those who wait for one, and how they get each other.
import { IpcError } from "../../base/error.ts";
import { afterOthers, giveWay, mustGiveWay } from "../../base/event_loop.ts";
import { CALLED_OFF, iterate, type IterationOptions } from "../../base/iteration.ts";
import {
  deadlineAfter,
  PendingWait,
  type SyncWaitOptions,
  timeoutError,
  timeoutOf,
  type WaitOptions,
} from "../../base/wait.ts";
import { isTableFull } from "../../ffi/socket/socket_message.ts";
import type { PeerCredentials } from "../../ffi/socket/socket_types.ts";
import { UnixSocket } from "../../ffi/socket/unix_socket.ts";
import { BlockingAccept } from "./blocking_accept.ts";
import { type ClientMaker, Doorman, LOOK_AGAIN, type ServedClient } from "./doorman.ts";

const ACCEPT = "accept a client";
/** Clients that may wait in the kernel's queue. */
const BACKLOG = 511;

/**
 * Clients in a row that are accepted before the event loop has its turn: those that have hung up meanwhile are heard of, and
 * their descriptors free, before there are many more of them than are really there.
 */
const AT_ONCE = 4;

/** Somebody who waits for a client. */
interface Waiting<Client> {
  readonly wait: PendingWait<Client>;
  /** Milliseconds until it gives up, from when the event loop had its turn. */
  timeout: number;
  /** Whether it also waits for descriptors, while there are none: a loop over clients does. */
  readonly patient: boolean;
}

/** A server without its face. What the methods are for the program is said at `IpcServer`. */
export class Reception<Client extends ServedClient> {
  readonly #name: string;
  readonly #socket: UnixSocket;
  readonly #doorman: Doorman<Client>;
  /** Clients that nobody has taken yet. */
  readonly #ready: Client[] = [];
  readonly #waits: Waiting<Client>[] = [];
  /** Clients that were accepted since the event loop had its turn. */
  #inARow = 0;
  #lookAgain: ReturnType<typeof setTimeout> | undefined;
  #stopPump: AbortController | undefined;

  /**
   * Starts to listen.
   *
   * @param makeClient Makes the server's end of a conversation.
   */
  constructor(name: string, admits: (peer: PeerCredentials) => boolean, makeClient: ClientMaker<Client>) {
    this.#name = name;
    this.#socket = UnixSocket.listen(name, { backlog: BACKLOG });
    const waits = this.#waits;
    this.#doorman = new Doorman(this.#socket, admits, makeClient, {
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

  get closed(): boolean {
    return this.#socket.closed;
  }

  /** How many clients have come that nobody has taken. */
  get backlog(): number {
    return this.#ready.length;
  }

  tryAccept(): Client | undefined {
    this.#requireOpen();
    return this.#ready.shift() ?? this.#nextQueued();
  }

  /** @param patient Whether it also waits for descriptors, while there are none: a loop over clients does. */
  accept(options: WaitOptions | undefined, patient: boolean): Promise<Client> {
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
      const wait = new PendingWait<Client>(
        ACCEPT,
        later ? signal && { signal } : options,
        () => this.#forget(item),
        (timeout) => this.#doorman.explained(timeoutError(ACCEPT, timeout)),
      );
      const item: Waiting<Client> = { wait, timeout: later ? timeout : Infinity, patient };
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

  #now(): Client {
    const client = this.tryAccept();
    if (client === undefined) throw this.#doorman.explained(timeoutError(ACCEPT, 0));
    return client;
  }

  /** The next client that has come. Who is patient leaves descriptors free for what is done for it. */
  #nextFor(patient: boolean): Client | undefined {
    const ready = this.#ready.shift();
    if (ready !== undefined) return ready;
    if (patient) this.#doorman.requireSpare();
    return this.#nextQueued();
  }

  /** Gives a waiter what has come; begins to wait if that is nothing. */
  #serve(item: Waiting<Client>): void {
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

  #acceptWhenRoom(): Promise<Client> {
    const wait = new PendingWait<Client>(ACCEPT, undefined, () => {});
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

  #forget(item: Waiting<Client>): void {
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

  #nextQueued(): Client | undefined {
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

  acceptSync(options: SyncWaitOptions | undefined): Client {
    const timeout = timeoutOf(options);
    const deadline = deadlineAfter(timeout);
    this.#requireOpen();
    const ready = this.#ready.shift();
    if (ready !== undefined) return ready;
    const accept = new BlockingAccept(this.#socket, this.#doorman, (connection) => void this.#introduce(connection));
    try {
      const client = accept.before(deadline);
      if (client === undefined) throw this.#doorman.explained(timeoutError(ACCEPT, timeout));
      return client;
    } finally {
      accept[Symbol.dispose]();
    }
  }

  values(options?: IterationOptions): AsyncIterableIterator<Client> {
    const closed = () => this.closed;
    return iterate<Client>({
      get closed() {
        return closed();
      },
      next: () => this.accept(undefined, true),
      callOff: (pending) => this.#callOff(pending),
    }, options);
  }

  #requireOpen(): void {
    if (this.#socket.closed) throw new IpcError("Closed", `Cannot accept at "${this.#name}": the server was closed`);
  }

  close(): void {
    if (this.#socket.closed) return;
    this.#socket.close();
    const waits = this.#waits.splice(0);
    this.#restIfIdle();
    for (const client of this.#ready.splice(0)) client.close();
    const reason = new IpcError(
      "Closed",
      `Cannot accept at "${this.#name}": the server was closed while it was awaited`,
    );
    this.#doorman.close(reason);
    for (const { wait } of waits) wait.reject(reason);
  }
}
