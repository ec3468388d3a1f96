// What senders of values and of bytes are made of: every way to send a message, with an encoder for what is sent.
import { Backstop } from "../../base/backstop.ts";
import { afterOthers } from "../../base/event_loop.ts";
import { type SyncWaitOptions, timeoutOf, type WaitOptions } from "../../base/wait.ts";
import type { Attachments } from "../message/attachments.ts";
import { outgoing } from "../message/outgoing.ts";
import type { Encoder } from "./encoder.ts";
import { packHandle } from "../message/sender_attachment.ts";
import type { SenderPort } from "./sender_port.ts";
import { SenderSeat, type SenderSource } from "./sender_seat.ts";

const SENT = Promise.resolve();

// A backstop for senders that were forgotten: without it the receiver would never see the end of them.
const forgotten = new Backstop<SenderSeat>((seat) => seat.leave(seat), 128);

/** A sender without its face. What the methods are for the program is said where it finds them, at `IpcSender`. */
export class SenderCore<in T> {
  readonly #seat: SenderSeat;
  readonly #encoder: Encoder<T>;

  constructor(from: SenderSource, encoder: Encoder<T>) {
    this.#seat = new SenderSeat(from);
    this.#encoder = encoder;
    forgotten.watch(this, this.#seat);
  }

  /** How it is printed: its state, without attaching. */
  look(): Record<string, unknown> {
    return this.#seat.look();
  }

  get closed(): boolean {
    return this.#seat.left;
  }

  get capacity(): number {
    return this.#seat.port().ring.capacity;
  }

  get backlog(): number {
    return this.#seat.port().ring.used;
  }

  get path(): string | undefined {
    return this.#seat.port().ring.path;
  }

  /** What it sends by, attached. */
  port(): SenderPort {
    return this.#seat.port();
  }

  send(value: T, options: WaitOptions | undefined, whenEmpty: boolean): Promise<void> {
    let attachments: Attachments | undefined;
    try {
      if (options !== undefined) {
        timeoutOf(options);
        options.signal?.throwIfAborted();
      }
      const port = whenEmpty ? this.#seat.port() : this.#seat.portIfNeeded();
      attachments = this.#encoder.encode(value);
      if (port === undefined && attachments === undefined && this.#seat.sendWithoutPort(outgoing)) {
        return afterOthers(SENT);
      }
      // Not the seat: a sender must not be collected, and closed by that, while a message of it waits.
      return (port ?? this.#seat.port()).send(this, outgoing, attachments, options, whenEmpty);
    } catch (error) {
      attachments?.kept();
      return afterOthers(Promise.reject(error));
    } finally {
      outgoing.forget();
    }
  }

  sendSync(value: T, options: SyncWaitOptions | undefined, whenEmpty: boolean): void {
    if (options !== undefined) timeoutOf(options);
    const port = whenEmpty ? this.#seat.port() : this.#seat.portIfNeeded();
    const attachments = this.#encoder.encode(value);
    try {
      if (port === undefined && attachments === undefined && this.#seat.sendWithoutPort(outgoing)) return;
      (port ?? this.#seat.port()).sendSync(outgoing, attachments, options, whenEmpty);
    } catch (error) {
      attachments?.kept();
      throw error;
    } finally {
      outgoing.forget();
    }
    attachments?.sent();
  }

  trySend(value: T): boolean {
    const port = this.#seat.portIfNeeded();
    const attachments = this.#encoder.encode(value);
    let sent = false;
    try {
      if (port === undefined && attachments === undefined && this.#seat.sendWithoutPort(outgoing)) return sent = true;
      return sent = (port ?? this.#seat.port()).trySend(outgoing, attachments);
    } finally {
      outgoing.forget();
      if (sent) attachments?.sent();
      else attachments?.kept();
    }
  }

  /** Another sender to the same channel. */
  clone(): SenderCore<T> {
    return new SenderCore(this.#seat.port().retain(), this.#encoder);
  }

  /** The same, in the place of this one. */
  move(): SenderCore<T> {
    const moved = this.clone();
    this.close();
    return moved;
  }

  toWritableStream(): WritableStream<T> {
    return new WritableStream<T>({
      write: async (value, { signal }) => {
        try {
          await this.send(value, { signal }, false);
        } catch (error) {
          this.close(); // the stream has failed, and takes no other
          throw error;
        }
      },
      close: () => this.close(),
      abort: () => this.close(),
    });
  }

  close(): void {
    forgotten.unwatch(this);
    this.#seat.leave(this);
  }

  /** Puts a clone into a message; returns what the other side must know. */
  pack(attachments: Attachments): readonly unknown[] {
    return packHandle(this.#seat.handle(), attachments);
  }
}
