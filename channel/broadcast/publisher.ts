// The public face of publishing.
import { asFound } from "../../base/arguments.ts";
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import { IpcError } from "../../base/error.ts";
import { cannotTravel } from "../../base/pack.ts";
import { encodeParts } from "../../cbor/mod.ts";
import { OpenThing } from "../../ffi/process/open_things.ts";
import { type Message, outgoing } from "../message/outgoing.ts";
import { Ringer } from "./seats.ts";
import { leaveTopic, openForPublishing, type PublisherOptions, type TopicFile } from "./topic_file.ts";
import { Turns } from "./turns.ts";
import { TopicWriter } from "./writer.ts";

/** A publisher's connection to its topic, apart from the object that the program has. */
class Podium extends OpenThing {
  readonly name: string;
  readonly #file: TopicFile;
  readonly #turns: Turns;
  readonly #ringer: Ringer;
  readonly #writer: TopicWriter;
  closed = false;

  constructor(name: string, options: PublisherOptions | undefined) {
    super();
    this.name = name;
    const file = this.#file = openForPublishing(name, options);
    let ringer: Ringer | undefined;
    try {
      ringer = new Ringer(file.seats!, file.path);
      this.#turns = new Turns(file.memory, file.seats!, name);
    } catch (error) {
      ringer?.close();
      leaveTopic(file);
      throw error;
    }
    this.#ringer = ringer;
    this.#writer = new TopicWriter(file.memory, this.#turns, name);
    this.opened();
  }

  get path(): string {
    return this.#file.path;
  }

  get capacity(): number {
    this.check();
    return this.#file.memory.capacity;
  }

  check(): void {
    if (this.closed) throw new IpcError("Closed", `Cannot publish to "${this.name}": this publisher was closed`);
  }

  publish(message: Message): void {
    this.#writer.publish(message);
    this.#ringer.ring();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.ended();
    this.#turns.close();
    this.#ringer.close();
    leaveTopic(this.#file);
  }

  override letGo(): void {
    this.close();
  }
}

// A backstop for publishers that were forgotten; `close()` is the plan.
const forgotten = new FinalizationRegistry<Podium>((podium) => podium.close());

/**
 * Publishes values to all who subscribe to a topic. Any number of publishers and subscribers come and go, in any process;
 * each subscriber sees every message from its start on, in order, or is told how many it has missed. A publisher never
 * waits for a subscriber, and does not know of any: what nobody reads is overwritten.
 *
 * Values are what `structuredClone` takes. Endpoints, shared memory and descriptors cannot be published, as it is not known
 * who would get them.
 *
 * The topic's memory belongs to those who may write its file; subscribers map it for reading alone. The last publisher or
 * subscriber of those users that closes removes it.
 *
 * @typeParam T What is published.
 *
 * @example Two subscribers
 * ```ts
 * import { IpcPublisher, IpcSubscriber } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const name = `prices-${crypto.randomUUID()}`;
 * using prices = IpcPublisher.open<{ symbol: string; price: number }>(name);
 * using first = IpcSubscriber.open<{ symbol: string; price: number }>(name); // in other processes, usually
 * using second = IpcSubscriber.open<{ symbol: string; price: number }>(name);
 * prices.publish({ symbol: "DENO", price: 12.5 });
 * assertEquals(await first.recv(), { symbol: "DENO", price: 12.5 });
 * assertEquals((await second.recv()).price, 12.5);
 * ```
 */
export class IpcPublisher<in T> implements Disposable {
  static {
    cannotTravel(this.prototype, "send its name, and open it there");
    printAs<IpcPublisher<never>>(this.prototype, (publisher) => ({ name: publisher.name, state: stateOf(publisher) }));
  }

  readonly #podium: Podium;

  private constructor(podium: Podium) {
    if (!(podium instanceof Podium)) throw new TypeError("Cannot construct a publisher: use open()");
    this.#podium = podium;
    forgotten.register(this, podium, this);
  }

  /**
   * Publishes to a topic, which is made if there is none.
   *
   * @typeParam T What is published.
   * @param name A name of 1 to 200 bytes, or, with "/" in it, the path of the topic's file; best in a folder that is
   * memory. A file with `.seats` appended, and FIFOs, lie beside it.
   * @param options Whose topic is used; capacity and permission bits, for one that does not exist yet.
   * @returns The publisher.
   * @throws {IpcError} `Incompatible` if the file is something else, `NotFound` if its folder does not exist, `Permission`
   * if another user has made it, or others may write to it, who are not trusted; `System` if there is no room for it, or it
   * has 1024 publishers.
   * @throws {TypeError} If the name cannot be one.
   * @throws {RangeError} If the capacity or the mode cannot be used.
   */
  static open<T>(name: string, options?: PublisherOptions): IpcPublisher<T> {
    return new IpcPublisher<T>(new Podium(name, options));
  }

  /** The name that it was opened by. */
  get name(): string {
    return this.#podium.name;
  }

  /** The path of the topic's file. */
  get path(): string {
    return this.#podium.path;
  }

  /**
   * Bytes of messages that are kept, at least, and bytes of the largest one.
   *
   * @throws {IpcError} `Closed`.
   */
  get capacity(): number {
    return this.#podium.capacity;
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#podium.closed;
  }

  /**
   * Publishes a value: when this returns, every subscriber can read it. Never waits for a subscriber; other publishers
   * are waited for while they copy a message.
   *
   * @param value What to publish.
   * @throws {IpcError} `TooLarge` if the message is larger than what the topic keeps; `Serialization`; `Closed`; `Timeout`
   * if another publisher has been stopped in the middle of a message for 5 s; `System` if the file system has no room.
   * Nothing was published then.
   */
  publish(value: T): void {
    const podium = this.#podium;
    podium.check();
    outgoing.setWritten(encodeParts(value, true));
    podium.check(); // code of the program runs in between
    try {
      podium.publish(outgoing);
    } finally {
      outgoing.forget();
    }
  }

  /** Closes the publisher; messages that are there can still be read. Closing twice is harmless. */
  close(): void {
    forgotten.unregister(this);
    this.#podium.close();
  }

  /** Same as {@linkcode IpcPublisher.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Publishes byte strings: as {@linkcode IpcPublisher}, without an encoding.
 *
 * @example Frames of a camera
 * ```ts
 * import { IpcBytesPublisher, IpcBytesSubscriber } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const name = `camera-${crypto.randomUUID()}`;
 * using camera = IpcBytesPublisher.open(name, { capacity: 16 << 20 });
 * using viewer = IpcBytesSubscriber.open(name); // in another process, usually
 * camera.publish(new Uint8Array(1 << 20).fill(7));
 * assertEquals((await viewer.recv())[9], 7);
 * assertEquals(viewer.missed, 0);
 * ```
 */
export class IpcBytesPublisher implements Disposable {
  static {
    cannotTravel(this.prototype, "send its name, and open it there");
    printAs(this.prototype, (publisher) => ({ name: publisher.name, state: stateOf(publisher) }));
  }

  readonly #podium: Podium;

  private constructor(podium: Podium) {
    if (!(podium instanceof Podium)) throw new TypeError("Cannot construct a publisher: use open()");
    this.#podium = podium;
    forgotten.register(this, podium, this);
  }

  /**
   * Publishes to a topic, which is made if there is none.
   *
   * @param name As for {@linkcode IpcPublisher.open}.
   * @param options Whose topic is used; capacity and permission bits, for one that does not exist yet.
   * @returns The publisher.
   * @throws {IpcError} As {@linkcode IpcPublisher.open}.
   * @throws {TypeError} If the name cannot be one.
   * @throws {RangeError} If the capacity or the mode cannot be used.
   */
  static open(name: string, options?: PublisherOptions): IpcBytesPublisher {
    return new IpcBytesPublisher(new Podium(name, options));
  }

  /** The name that it was opened by. */
  get name(): string {
    return this.#podium.name;
  }

  /** The path of the topic's file. */
  get path(): string {
    return this.#podium.path;
  }

  /**
   * Bytes of messages that are kept, at least, and bytes of the largest one.
   *
   * @throws {IpcError} `Closed`.
   */
  get capacity(): number {
    return this.#podium.capacity;
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#podium.closed;
  }

  /**
   * Publishes bytes: when this returns, every subscriber can read them. They are copied once.
   *
   * @param bytes What to publish.
   * @throws {IpcError} As {@linkcode IpcPublisher.publish}, but `Serialization`.
   * @throws {TypeError} If it is no `Uint8Array`, or one whose buffer is detached.
   */
  publish(bytes: Uint8Array): void {
    const podium = this.#podium;
    podium.check();
    if (!(bytes instanceof Uint8Array)) {
      throw new TypeError(`Cannot publish ${asFound(bytes)}: a publisher of bytes takes Uint8Array only`);
    }
    if (bytes.length === 0 && (bytes.buffer as ArrayBuffer).detached) {
      throw new TypeError(
        "Cannot publish a Uint8Array whose buffer is detached: it was transferred, or its loan has ended",
      );
    }
    outgoing.setBytes(bytes);
    podium.publish(outgoing);
  }

  /** Closes the publisher; messages that are there can still be read. Closing twice is harmless. */
  close(): void {
    forgotten.unregister(this);
    this.#podium.close();
  }

  /** Same as {@linkcode IpcBytesPublisher.close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}
