// What all clones of a sender in one isolate share: the ring, and the sends that wait for room in it.
import { IpcError } from "../../base/error.ts";
import { afterOthers, giveWay, mustGiveWay } from "../../base/event_loop.ts";
import { sameFileKey } from "../../ffi/memory/storage.ts";
import {
  deadlineAfter,
  millisecondsText,
  PendingWait,
  type SyncWaitOptions,
  timeoutOf,
  type WaitOptions,
} from "../../base/wait.ts";
import { closeHandle, type Handle } from "../ring/handle.ts";
import type { NewRing } from "../ring/new_ring.ts";
import type { SenderHandle } from "../ring/sender_handle.ts";
import { PackedSender } from "../ring/packed_sender.ts";
import { grow } from "../ring/ringless_growth.ts";
import { RinglessSender } from "../ring/ringless_sender.ts";
import type { NamedRing } from "../ring/named_ring.ts";
import type { Message } from "../message/outgoing.ts";
import { RingProducer } from "../ring/producer.ts";
import type { Attachments } from "../message/attachments.ts";

/** Milliseconds between two looks for room where the receiver could not be asked to ring, or others may hear it. */
const BLIND_PAUSE = 4;
/** The same where it was asked: it may have had no room for the bell. */
const LONG_PAUSE = 100;

/** A send, or a claim of blocks to be filled in place, that waits for room. */
interface Waiting {
  readonly wait: PendingWait<unknown>;
  /** Tries it; the outcome, or `undefined` while there is no room. */
  readonly attempt: () => { readonly value: unknown } | undefined;
  /** It will not be done. */
  readonly abandon: () => void;
  /** The endpoint that asked for it. */
  readonly owner: object;
}

const SENT = Promise.resolve();

export class SenderPort {
  static readonly #ports = new Map<string, SenderPort>();

  readonly #key: string;
  readonly #ring: RingProducer;
  #users = 1;
  /** In the order of the calls: whatever comes later waits as well, so that order is kept. */
  readonly #waiting: Waiting[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #onSpaceBell = () => this.#spaceBellRang();

  private constructor(key: string, ring: RingProducer) {
    this.#key = key;
    this.#ring = ring;
    SenderPort.#ports.set(key, this);
  }

  /** The port of a ring that was made here. */
  static of(ring: RingProducer): SenderPort {
    return new SenderPort(sameFileKey(ring.memory.fd.fd), ring);
  }

  /**
   * The port of a new channel whose sender's end was given to others. One of them may be in use here already: it is shared.
   *
   * @throws {IpcError} `System` if there is no room for it.
   */
  static ofNew(channel: NewRing): SenderPort {
    const { key } = channel, known = SenderPort.#ports.get(key);
    if (known === undefined) return new SenderPort(key, channel.openProducer());
    channel.closeSender();
    return known.retain();
  }

  /**
   * The port of a ring that came from a peer; one that is in use here already is shared. Owns the handle, as `openHandle`
   * says.
   */
  static attach(from: SenderHandle): SenderPort {
    if (from instanceof RinglessSender) return SenderPort.#grow(from);
    if (!(from instanceof PackedSender)) return SenderPort.#attach(from, false);
    const handle = from.unpack();
    try {
      return SenderPort.#attach(handle, true);
    } catch (error) {
      handle.memory.close(), handle.bell.close(); // copies: for another try they can be had again
      throw error;
    }
  }

  static #grow(from: RinglessSender): SenderPort {
    const grown = grow(from);
    if (grown instanceof RingProducer) return SenderPort.of(grown);
    try {
      const port = SenderPort.#attach(grown, false);
      from.leave();
      return port;
    } catch (error) {
      if (grown.memory.closed) from.leave(); // else there was no memory: it is still there for another try
      throw error;
    }
  }

  static #attach(handle: Handle, packed: boolean): SenderPort {
    const key = sameFileKey(handle.memory.fd);
    const known = SenderPort.#ports.get(key);
    if (known === undefined) return new SenderPort(key, RingProducer.attach(handle, packed));
    closeHandle(handle);
    return known.retain();
  }

  /** The port of a named ring; one that is in use here already is shared. Owns the attachment. */
  static open(file: NamedRing): SenderPort {
    const key = sameFileKey(file.memory.fd.fd);
    const known = SenderPort.#ports.get(key);
    if (known === undefined) return new SenderPort(key, RingProducer.open(file));
    file.memory.release();
    file.leave();
    return known.retain();
  }

  /** One more endpoint uses this port. */
  retain(): SenderPort {
    this.#users++;
    return this;
  }

  /** One endpoint less; its waiting sends are rejected, and the last one closes the port. */
  release(owner: object): void {
    if (this.#waiting.length > 0) this.#rejectOf(owner);
    if (--this.#users > 0) return;
    SenderPort.#ports.delete(this.#key);
    clearTimeout(this.#timer);
    this.#ring.close();
  }

  #rejectOf(owner: object): void {
    for (const item of this.#waiting.filter((item) => item.owner === owner)) {
      this.#drop(item);
      item.wait.reject(new IpcError("Closed", "Cannot send: the sender was closed while the message waited for room"));
    }
  }

  /** The ring. */
  get ring(): RingProducer {
    return this.#ring;
  }

  /** Whether nothing waits for room here. */
  get idle(): boolean {
    return this.#waiting.length === 0;
  }

  /** Sends if there is room and nobody waits. What is not sent still belongs to the caller. */
  trySend(message: Message, attachments: Attachments | undefined): boolean {
    if (this.#waiting.length > 0) {
      this.#flush();
      if (this.#waiting.length > 0) return false;
    }
    return this.#ring.trySend(message, attachments?.fds);
  }

  /** Blocks while there is no room, or while earlier sends wait. */
  sendSync(
    message: Message,
    attachments: Attachments | undefined,
    options: SyncWaitOptions | undefined,
    whenEmpty: boolean,
  ): void {
    if ((!whenEmpty || this.#ring.empty) && this.trySend(message, attachments)) return;
    const timeout = timeoutOf(options);
    if (timeout === 0) throw this.#fullError(timeout);
    const kept = message.keep(); // code of the program may run, and encode something else, while this waits
    const attempt = () => (!whenEmpty || this.#ring.empty) && this.trySend(kept, attachments);
    const sent = this.#ring.room.sync(attempt, deadlineAfter(timeout));
    if (!sent) throw this.#fullError(timeout);
  }

  #fullError(timeout: number): IpcError {
    return new IpcError(
      "Timeout",
      `Cannot send: timed out after ${
        millisecondsText(timeout)
      }; the receiver makes no room: it is slow or stopped, or the channel too ` +
        "small",
    );
  }

  /**
   * Sends now, or as soon as there is room and all earlier sends are done.
   *
   * @param message The message; copied if it has to wait.
   */
  send(
    owner: object,
    message: Message,
    attachments: Attachments | undefined,
    options: WaitOptions | undefined,
    whenEmpty: boolean,
  ): Promise<void> {
    if ((!whenEmpty || this.#ring.empty) && this.trySend(message, attachments)) {
      attachments?.sent();
      return mustGiveWay() ? giveWay() : SENT;
    }
    const copy = message.snapshot();
    attachments?.hold();
    return this.#enqueue<void>(owner, options, {
      attempt: () => {
        if (whenEmpty && !this.#ring.empty) return undefined;
        if (!this.#ring.trySend(copy, attachments?.fds)) return undefined;
        attachments?.sent();
        return { value: undefined };
      },
      abandon: () => attachments?.kept(),
    });
  }

  /**
   * Does something that needs room as soon as there is some and all earlier sends are done.
   *
   * @param attempt Tries it; the outcome, or `undefined` while there is no room.
   */
  whenRoom<R extends object>(
    owner: object,
    attempt: () => R | undefined,
    options: WaitOptions | undefined,
  ): Promise<R> {
    if (this.#waiting.length === 0) {
      const done = attempt();
      if (done !== undefined) return afterOthers(Promise.resolve(done));
    }
    const queued = () => {
      const value = attempt();
      return value && { value };
    };
    return this.#enqueue<R>(owner, options, { attempt: queued, abandon: () => {} });
  }

  /** The same, blocking. */
  whenRoomSync<R extends object>(attempt: () => R | undefined, options: SyncWaitOptions | undefined): R {
    let done: R | undefined;
    const ready = () => {
      if (this.#waiting.length > 0) this.#flush();
      return this.#waiting.length === 0 && (done = attempt()) !== undefined;
    };
    if (!ready()) {
      const timeout = timeoutOf(options);
      if (timeout === 0 || !this.#ring.room.sync(ready, deadlineAfter(timeout))) throw this.#fullError(timeout);
    }
    return done!;
  }

  /** The same if there is room now and nobody waits. */
  ifRoom<R extends object>(attempt: () => R | undefined): R | undefined {
    if (this.#waiting.length > 0) this.#flush();
    return this.#waiting.length > 0 ? undefined : attempt();
  }

  #enqueue<R>(
    owner: object,
    options: WaitOptions | undefined,
    what: Pick<Waiting, "attempt" | "abandon">,
  ): Promise<R> {
    const timeout = timeoutOf(options);
    if (timeout === 0) {
      what.abandon();
      return afterOthers(Promise.reject(this.#fullError(timeout)));
    }
    const wait = new PendingWait<R>("send", options, () => this.#drop(item), () => this.#fullError(timeout));
    const item: Waiting = { wait: wait as PendingWait<unknown>, owner, ...what };
    this.#waiting.push(item);
    this.#await();
    // The receiver may have made room meanwhile, without a turn of the event loop.
    return wait.settled ? afterOthers(wait.promise) : wait.promise;
  }

  #drop(item: Waiting): void {
    const at = this.#waiting.indexOf(item);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    item.abandon();
    this.#await();
  }

  /** Does what waits, in order, as far as there is room. */
  #flush(): void {
    for (;;) {
      const item = this.#waiting[0];
      if (item === undefined) {
        this.#keepAlive();
        return;
      }
      try {
        const done = item.attempt();
        if (done === undefined) return;
        this.#waiting.shift();
        item.wait.resolve(done.value);
      } catch (error) {
        this.#waiting.shift();
        item.abandon();
        item.wait.reject(error);
      }
    }
  }

  /** Asks for a ring and looks once more; while anything waits, the process stays alive. */
  #await(): void {
    if (this.#waiting.length > 0) {
      let armed = false;
      try {
        armed = this.#ring.room.arm();
        if (armed) this.#ring.room.spaceBell!.listen(this.#onSpaceBell);
      } catch (error) {
        this.#rejectAll(error);
        return;
      }
      this.#flush();
      if (this.#waiting.length > 0) {
        this.#timer ??= setTimeout(() => {
          this.#timer = undefined;
          this.#spaceBellRang(); // the receiver may also have ended without a sign
        }, armed && !this.#ring.named ? LONG_PAUSE : BLIND_PAUSE);
      }
    }
    this.#keepAlive();
  }

  /** While something waits, the process stays alive. */
  #keepAlive(): void {
    const waits = this.#waiting.length > 0, bell = this.#ring.room.spaceBell;
    if (!waits) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    }
    if (bell !== undefined) bell.awaited = waits;
  }

  #spaceBellRang(): void {
    try {
      this.#ring.room.afterRing();
    } catch (error) {
      this.#rejectAll(error);
      return;
    }
    this.#await();
  }

  #rejectAll(error: unknown): void {
    for (const item of this.#waiting.splice(0)) {
      item.abandon();
      item.wait.reject(error);
    }
    this.#keepAlive();
  }
}
