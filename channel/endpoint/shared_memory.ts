// Memory that several processes see, sent like a value.
import { asFound, integerOf } from "../../base/arguments.ts";
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import { canTravel } from "../../base/pack.ts";
import { IpcError } from "../../base/error.ts";
import { IpcFd } from "../../ffi/file/fd.ts";
import { closeForeign } from "../../ffi/file/foreign_fd.ts";
import { allocate } from "../../ffi/memory/storage.ts";
import { checkSealed, sealedMemory } from "../../ffi/memory/sealed_memory.ts";
import { LastingMapping } from "../../ffi/memory/lasting_mapping.ts";
import { outOfMemory } from "../../ffi/memory/shortage.ts";
import { availableMemory } from "../../ffi/file/resources.ts";
import type { TravellerKind } from "../message/travellers.ts";

/** How shared memory gets into messages, and out of them. */
export let sharedMemoryKind: TravellerKind<IpcSharedMemory>;

/** From so many bytes on it is worth asking whether there is as much. */
const MUCH = 16 << 20;

/**
 * Bytes in shared memory. Inside a message it is not copied: its receiver sees the same bytes, and every change to
 * them. Its size is sealed, so that no process can cut it short under another.
 *
 * There is no lock in it: agree by messages on who writes when, or use an `IpcArc`.
 *
 * @example A large buffer, filled here and read elsewhere
 * ```ts
 * import { channel, IpcSharedMemory } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = channel<IpcSharedMemory>();
 * using memory = IpcSharedMemory.filled(0, 1 << 20);
 * sender.sendSync(memory);
 *
 * using same = receiver.recvSync(); // in another process, usually
 * memory.bytes[5] = 7;
 * assertEquals(same.bytes[5], 7);
 * sender.close(), receiver.close();
 * ```
 */
export class IpcSharedMemory implements Disposable {
  static {
    canTravel(this.prototype);
    sharedMemoryKind = {
      is: (object) => #fd in object,
      pack(memory, attachments) {
        attachments.addOne(memory.#fd);
        return [];
      },
      unpack(attachments, first) {
        const fd = attachments.claimOne(first);
        try {
          return new IpcSharedMemory(fd, checkSealed(fd.fd));
        } catch (error) {
          closeForeign(fd, "memory");
          throw error;
        }
      },
    };
  }

  static {
    printAs(IpcSharedMemory.prototype, (memory) => ({ state: stateOf(memory), length: memory.length }));
  }

  readonly #fd: IpcFd;
  readonly #length: number;
  #mapping: LastingMapping | undefined;
  #bytes: Uint8Array<ArrayBuffer> | undefined;

  private constructor(fd: IpcFd, length: number) {
    if (!(fd instanceof IpcFd)) {
      throw new TypeError("Cannot construct an IpcSharedMemory: use IpcSharedMemory.from() or filled()");
    }
    this.#fd = fd;
    this.#length = length;
  }

  /**
   * Shared memory with a copy of some bytes.
   *
   * @param bytes What to copy.
   * @returns The memory.
   * @throws {IpcError} `System` if there is no room for it.
   * @throws {TypeError} If it is no byte string.
   */
  static from(bytes: Uint8Array): IpcSharedMemory {
    if (!(bytes instanceof Uint8Array)) {
      throw new TypeError(`Cannot make shared memory from ${asFound(bytes)}: give a Uint8Array`);
    }
    return IpcSharedMemory.#create(bytes.length, (memory) => memory.set(bytes));
  }

  /**
   * Shared memory filled with one value.
   *
   * @param byte The value of every byte, 0 to 255.
   * @param length Bytes.
   * @returns The memory.
   * @throws {IpcError} `System` if there is no room for it.
   * @throws {RangeError} If the byte or the length is not such a number.
   */
  static filled(byte: number, length: number): IpcSharedMemory {
    integerOf(byte, 0, 255, "Cannot fill memory with the byte");
    return IpcSharedMemory.#create(length, byte === 0 ? undefined : (memory) => memory.fill(byte));
  }

  static #create(length: number, write: ((bytes: Uint8Array) => void) | undefined): IpcSharedMemory {
    integerOf(length, 0, Number.MAX_SAFE_INTEGER, "Cannot make shared memory of the length");
    requireMemory(length, "Cannot make shared memory");
    const fd = sealedMemory("isthmus-memory", length);
    try {
      // Now, so that a machine without memory says so here, and not by a fault when the bytes are touched.
      if (length > 0) allocate(fd.fd, 0, length, `Cannot make shared memory of ${length} bytes`);
      const memory = new IpcSharedMemory(fd, length);
      write?.(memory.bytes); // there may be no addresses for it
      return memory;
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /**
   * The bytes themselves, shared by everyone who has this memory: writing them changes them for all. What was taken from
   * here before becomes empty when the memory is closed. Their `buffer` cannot be transferred to a Worker: send this
   * object there. It is longer than they are, up to a multiple of 64 KiB.
   *
   * @throws {IpcError} `Closed` after {@linkcode IpcSharedMemory.close} and {@linkcode IpcSharedMemory.take}; `System` if
   * there are no addresses left for it.
   */
  get bytes(): Uint8Array<ArrayBuffer> {
    if (this.#fd.closed) throw new IpcError("Closed", "Cannot use shared memory: it was closed or taken");
    if (this.#bytes === undefined) {
      if (this.#length > 0) this.#mapping = new LastingMapping(this.#fd.fd, this.#length);
      this.#bytes = new Uint8Array(this.#mapping?.buffer ?? new ArrayBuffer(0), 0, this.#length);
    }
    return this.#bytes;
  }

  /** Its length in bytes; known also once it is closed. */
  get length(): number {
    return this.#length;
  }

  /** Whether it was closed or taken. */
  get closed(): boolean {
    return this.#fd.closed;
  }

  /**
   * Another object for the same memory.
   *
   * @returns The clone; it is closed by itself.
   * @throws {IpcError} `Closed`; `System` if there is no descriptor left.
   */
  clone(): IpcSharedMemory {
    return new IpcSharedMemory(this.#fd.clone(), this.#length);
  }

  /**
   * The bytes as memory of this process alone; closes the shared memory here.
   *
   * @returns A copy.
   * @throws {IpcError} `Closed`; `System` if there is no memory for it: it stays as it is then.
   */
  take(): Uint8Array<ArrayBuffer> {
    // A peer may have made it larger than anything that it ever wrote.
    requireMemory(this.#length, "Cannot take shared memory");
    const copy = this.bytes.slice();
    this.close();
    return copy;
  }

  /**
   * Compares byte by byte.
   *
   * @param other Other memory, or the same.
   * @returns Whether both hold the same bytes: `false` also if they differ in length.
   * @throws {IpcError} `Closed` if one of them was closed.
   */
  equals(other: IpcSharedMemory): boolean {
    if (!(other instanceof IpcSharedMemory)) {
      throw new TypeError(`Cannot compare shared memory with ${asFound(other)}: give an IpcSharedMemory`);
    }
    if (this.#length !== other.#length) return false;
    const a = this.bytes, b = other.bytes;
    const words = this.#length >>> 2;
    const wordsA = new Int32Array(a.buffer, 0, words), wordsB = new Int32Array(b.buffer, 0, words);
    for (let i = 0; i < words; i++) if (wordsA[i] !== wordsB[i]) return false;
    for (let i = words * 4; i < this.#length; i++) if (a[i] !== b[i]) return false;
    return true;
  }

  /** Closes it here; others keep it. Views on {@linkcode bytes} become empty. Closing twice is harmless. */
  close(): void {
    this.#mapping?.unmap();
    this.#mapping = undefined;
    this.#fd.close();
  }

  /** Same as {@linkcode close}, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** Linux does not refuse what it has not got: it kills processes until it has. */
function requireMemory(length: number, what: string): void {
  if (length <= MUCH || length <= (availableMemory() ?? Infinity)) return;
  throw outOfMemory(`${what} of ${length} bytes: the machine does not have that much left`);
}
