// Files mapped into this process as ArrayBuffers.
import { Backstop } from "../../base/backstop.ts";
import { IpcError } from "../../base/error.ts";
import { forgetMapping, noteLent, noteMapping } from "../process/isolate_notes.ts";
import type { MappedMemory } from "../contract/memory.ts";
import { OpenThing } from "../process/open_things.ts";
import { check, libc } from "../libc/libc.ts";
import {
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from "../libc/platform.ts";
import { runtime } from "../runtime/mod.ts";
import type { Pointer } from "../runtime/runtime.ts";
import { addressOf } from "./addresses.ts";
import { KeptWindows } from "./kept_windows.ts";
import { armSpan, disarmSpan, guardSpan, type SpanGuard, unguardSpan } from "../process/thread_end.ts";

/** What `munmap` needs, kept apart from the buffer so that the registry below does not keep the buffer alive. */
class Span extends OpenThing {
  readonly address: bigint;
  readonly length: number;
  /** Somebody else may have a buffer over it, so its addresses are never used for anything else. */
  pinned = false;
  #buffer: WeakRef<ArrayBuffer> | undefined;
  #note = -1;
  #guard: SpanGuard | undefined;

  constructor(address: bigint, length: number) {
    super();
    this.address = address;
    this.length = length;
  }

  /** A buffer over it, which is detached before the memory goes. */
  mapped(buffer: ArrayBuffer): void {
    this.#note = noteMapping(this.address, this.length);
    this.#buffer = new WeakRef(buffer);
    this.#guard = guardSpan(this.address, this.length);
    this.opened();
  }

  /** Whether the program has part of it. */
  set lent(value: boolean) {
    noteLent(this.#note, value);
    if (this.#guard === undefined) return;
    if (value) disarmSpan(this.#guard);
    else armSpan(this.#guard, this);
  }

  /** The end of the thread does not unmap it. */
  outliveThread(): void {
    if (this.#guard !== undefined) unguardSpan(this.#guard);
    this.#guard = undefined;
  }

  protected override get goesLast(): boolean {
    return true;
  }

  override letGo(): void {
    const buffer = this.#buffer?.deref();
    if (buffer !== undefined && !buffer.detached) buffer.transfer(0);
    this.unmap();
  }

  unmap(): void {
    this.ended();
    this.outliveThread();
    forgetMapping(this.#note);
    const { c } = libc();
    const pointer = runtime.pointer(this.address), length = BigInt(this.length);
    if (!this.pinned) {
      c.munmap(pointer, length);
      return;
    }
    // The file goes, its memory with it. What a transferred buffer finds is memory of this process, zeros at first.
    pinnedBytes += this.length;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
    c.mmap(pointer, length, PROT_READ | PROT_WRITE, flags, -1, 0n);
  }
}

// The buffer, not the Mapping, is what is watched: as long as any view on it lives, the memory stays mapped.
const forgotten = new Backstop<Span>((span) => span.unmap());

let pinnedBytes = 0;

/** Bytes of addresses that this isolate cannot use again, as a program has transferred a buffer over them. */
export function pinnedAddresses(): number {
  return pinnedBytes;
}

let moves: boolean | undefined;

/** Whether memory that is not the engine's stays where it is when it is transferred to another buffer. */
function movesInPlace(): boolean {
  return moves ??= triedToMove();
}

function triedToMove(): boolean {
  const bytes = new Uint8Array(128);
  const moved = runtime.memoryAt(runtime.pointerTo(bytes), bytes.length).transferToFixedLength();
  new Uint8Array(moved)[0] = 1;
  return bytes[0] === 1;
}

/** Windows of no bytes, which have nothing to do with the memory. */
const empty = new WeakSet<ArrayBuffer>();

/**
 * What a mapping of a file is for.
 *
 * - `"shared"`: reading and writing; everybody sees what is written.
 * - `"read-only"`: reading what others write. The file need only be open for reading. A write ends the process.
 * - `"private"`: the same, for memory that is lent to a program: a page that it writes to becomes its own, until
 *   {@linkcode Mapping.discardWrites}.
 */
export type MappingKind = "shared" | "read-only" | "private";

/** Protection and flags of `mmap`. */
const KINDS: Readonly<Record<MappingKind, readonly [protection: number, flags: number]>> = {
  "shared": [PROT_READ | PROT_WRITE, MAP_SHARED],
  "read-only": [PROT_READ, MAP_SHARED],
  "private": [PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE],
};

/** Bytes of the smallest page. */
const PAGE = 4096;

/** Memory mapped into this process. */
export class Mapping implements MappedMemory {
  readonly #span: Span;
  #buffer: ArrayBuffer;
  #mapped = true;
  /** Windows that have not ended. */
  #windows = 0;
  /** Those that have, for the next ones there. */
  #kept: KeptWindows | undefined;

  private constructor(span: Span) {
    this.#span = span;
    const pointer = runtime.pointer(span.address)!;
    this.#buffer = runtime.memoryAt(pointer, span.length);
    span.mapped(this.#buffer);
    forgotten.watch(this.#buffer, span);
  }

  /** The whole mapping. Detached (length 0) once unmapped. Not for programs: one that transferred it would keep it. */
  get buffer(): ArrayBuffer {
    return this.#buffer;
  }

  /** Bytes mapped. */
  get length(): number {
    return this.#span.length;
  }

  /**
   * A pointer into the mapping, for functions of libc that take an address.
   *
   * @param offset Bytes from the beginning of the mapping.
   */
  pointerAt(offset: number): Pointer {
    if (!this.#mapped) throw new IpcError("Closed", "Cannot use shared memory: it was unmapped");
    return runtime.pointer(this.#span.address + BigInt(offset))!;
  }

  /**
   * A second ArrayBuffer over part of the mapping, to be lent to the program. {@linkcode endWindow} must be called before
   * the mapping goes.
   */
  window(offset: number, length: number): ArrayBuffer {
    if (length === 0) {
      const nothing = new ArrayBuffer(0);
      empty.add(nothing);
      return nothing;
    }
    const window = this.#kept?.take(offset, length) ?? runtime.memoryAt(this.pointerAt(offset), length);
    // A program may transfer it to another isolate, which this one's end must not harm.
    if (this.#windows++ === 0) this.#span.lent = true;
    return window;
  }

  /**
   * Makes a window empty, and every view on it. If a program has transferred it, there is another buffer now that nobody
   * can find: then the addresses stay taken for as long as the process runs.
   *
   * @param offset Where it begins, if the same part is likely to be lent again: what was made for it is kept then.
   */
  endWindow(window: ArrayBuffer, offset?: number): void {
    if (window.byteLength > 0) {
      if (offset === undefined || !movesInPlace()) window.transfer(0);
      else (this.#kept ??= new KeptWindows(this.length)).keep(offset, window.transferToFixedLength());
    } else if (empty.has(window)) return;
    else this.#span.pinned = true;
    if (--this.#windows === 0 && !this.#span.pinned) this.#span.lent = false;
  }

  /**
   * Of a private mapping: forgets what the program has written to part of it, and shows the file again. Whole pages, so
   * nothing beside the part may be in use that must not change.
   */
  discardWrites(offset: number, length: number): void {
    const from = Math.floor(offset / PAGE) * PAGE,
      until = Math.min(Math.ceil((offset + length) / PAGE) * PAGE, this.length);
    const { c, errnoCell } = libc();
    const pointer = this.pointerAt(from);
    check(c.madvise(pointer, BigInt(until - from), MADV_DONTNEED), errnoCell[0]!, "madvise", "Cannot take memory back");
  }

  /**
   * Stays mapped when the thread ends: for memory with a robust mutex. The kernel gives a mutex of the dead back only after
   * glibc has called all that is to be called at the end of a thread.
   */
  outliveThread(): void {
    this.#span.outliveThread();
  }

  /** Unmaps. Every view on {@linkcode Mapping.buffer} is detached first, so a stale one is empty, not dangling. */
  unmap(): void {
    if (!this.#mapped) return;
    this.#mapped = false;
    this.#kept = undefined;
    forgotten.unwatch(this.#buffer);
    this.#buffer.transfer(0);
    this.#span.unmap();
  }

  /**
   * Maps `length` bytes of a file, shared.
   *
   * @param fd The file; it may be closed afterwards.
   * @param length Bytes, more than 0.
   */
  static shared(fd: number, length: number): Mapping {
    const { c, errnoCell } = libc();
    const pointer = c.mmap(null, BigInt(length), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0n);
    return new Mapping(new Span(addressOf(pointer, errnoCell[0]!, length), length));
  }

  /**
   * Maps a head and, behind it, the rest of the file twice in a row, so that whatever crosses the end of the first
   * copy goes on at the beginning of the file's data, contiguously. Pages are shared; only addresses are doubled.
   *
   * ```text
   * file      | head | data        |
   * mapping   | head | data        | data again  |
   * ```
   *
   * @param fd The file; it may be closed afterwards.
   * @param headLength Bytes before the data, a multiple of the page size.
   * @param dataLength Bytes of data, a multiple of the page size.
   * @param kind What it is for.
   */
  static mirrored(fd: number, headLength: number, dataLength: number, kind: MappingKind = "shared"): Mapping {
    const { c, errnoCell } = libc();
    if (kind === "read-only" && runtime.loadsWrite) {
      throw new IpcError(
        "Unsupported",
        "Cannot only read shared memory in Bun: atomic loads of such memory end the process; use Deno or Node.js",
      );
    }
    const [protection, flags] = KINDS[kind];
    const length = headLength + 2 * dataLength;
    // At once for both, so that the two parts cannot end up apart, or on top of something else. What lies beyond the end of
    // the file cannot be accessed, and is replaced.
    const first = c.mmap(null, BigInt(length), protection, flags, fd, 0n);
    const address = addressOf(first, errnoCell[0]!, length);
    try {
      const second = c.mmap(
        runtime.pointer(address + BigInt(headLength + dataLength)),
        BigInt(dataLength),
        protection,
        flags | MAP_FIXED,
        fd,
        BigInt(headLength),
      );
      addressOf(second, errnoCell[0]!, length);
    } catch (error) {
      new Span(address, length).unmap();
      throw error;
    }
    return new Mapping(new Span(address, length));
  }
}
