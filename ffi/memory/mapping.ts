// Shared memory mapped into this process: sealed memory files, and files, as ArrayBuffers.
import { IpcError } from "../../base/error.ts";
import { IpcFd } from "../file/fd.ts";
import { forgetMapping, noteLent, noteMapping } from "../process/isolate_notes.ts";
import { OpenThing } from "../process/open_things.ts";
import { check, cString, interrupted, libc } from "../libc/libc.ts";
import {
  AT_EMPTY_PATH,
  AT_STATX_DONT_SYNC,
  ENOMEM,
  errnoText,
  F_ADD_SEALS,
  F_GET_SEALS,
  F_GETFL,
  F_SEAL_FUTURE_WRITE,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  O_RDWR,
  O_WRONLY,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  SEEK_END,
  STATX_BLOCKS,
  STATX_INO,
} from "../libc/platform.ts";
import { STATX } from "../libc/structs.ts";
import { runtime } from "../runtime/mod.ts";
import type { Pointer } from "../runtime/runtime.ts";
import { armSpan, disarmSpan, guardSpan, type SpanGuard, unguardSpan } from "../process/thread_end.ts";

/** The seals that make a mapping safe: nobody can cut the file short under it (a SIGBUS) or add another seal. */
const SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW;

const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

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
const forgotten = new FinalizationRegistry<Span>((span) => span.unmap());

let pinnedBytes = 0;

/** Bytes of addresses that this isolate cannot use again, as a program has transferred a buffer over them. */
export function pinnedAddresses(): number {
  return pinnedBytes;
}

/** Windows of no bytes, which have nothing to do with the memory. */
const empty = new WeakSet<ArrayBuffer>();

/** Memory mapped into this process. */
export class Mapping {
  readonly #span: Span;
  #buffer: ArrayBuffer;
  #mapped = true;
  /** Windows that have not ended. */
  #windows = 0;

  private constructor(span: Span) {
    this.#span = span;
    const pointer = runtime.pointer(span.address)!;
    this.#buffer = runtime.memoryAt(pointer, span.length);
    span.mapped(this.#buffer);
    forgotten.register(this.#buffer, span, this);
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
    const window = runtime.memoryAt(this.pointerAt(offset), length);
    // A program may transfer it to another isolate, which this one's end must not harm.
    if (this.#windows++ === 0) this.#span.lent = true;
    return window;
  }

  /**
   * Makes a window empty, and every view on it. If a program has transferred it, there is another buffer now that nobody
   * can find: then the addresses stay taken for as long as the process runs.
   */
  endWindow(window: ArrayBuffer): void {
    if (window.byteLength > 0) window.transfer(0);
    else if (empty.has(window)) return;
    else this.#span.pinned = true;
    if (--this.#windows === 0 && !this.#span.pinned) this.#span.lent = false;
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
    forgotten.unregister(this);
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
   */
  static mirrored(fd: number, headLength: number, dataLength: number): Mapping {
    const { c, errnoCell } = libc();
    const length = headLength + 2 * dataLength;
    // One reservation of address space, so that the two parts cannot end up apart, or on top of something else.
    const reserved = c.mmap(
      null,
      BigInt(length),
      PROT_NONE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
      -1,
      0n,
    );
    const address = addressOf(reserved, errnoCell[0]!, length);
    try {
      const first = c.mmap(
        reserved,
        BigInt(headLength + dataLength),
        PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_FIXED,
        fd,
        0n,
      );
      addressOf(first, errnoCell[0]!, length);
      const second = c.mmap(
        runtime.pointer(address + BigInt(headLength + dataLength)),
        BigInt(dataLength),
        PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_FIXED,
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

/** Addresses of a `WebAssembly.Memory` come in pages of this size. */
const WASM_PAGE = 65_536;

/** With more pages, it counts them by bigints. */
const MOST_WASM_PAGES = 65_536;

/**
 * A file mapped for a program to keep the buffer of: it cannot be transferred, and stays mapped until nobody has it any
 * more.
 *
 * Both come from `WebAssembly.Memory`: V8 lets nobody but itself detach such a buffer, and gives the addresses back when
 * its memory is collected, or its isolate ends. The file is mapped over them.
 */
export class LastingMapping {
  readonly #memory: WebAssembly.Memory;
  readonly #large: boolean;
  readonly #address: bigint;
  readonly #length: number;
  #mapped = true;

  /**
   * @param fd The file; it may be closed afterwards.
   * @param length Bytes, more than 0.
   * @throws {IpcError} `System` if there are no addresses left for it.
   */
  constructor(fd: number, length: number) {
    const { c, errnoCell } = libc();
    this.#length = length;
    const pages = Math.ceil(length / WASM_PAGE);
    this.#large = pages > MOST_WASM_PAGES;
    const size = this.#large
      ? { address: "i64", initial: BigInt(pages), maximum: BigInt(pages) }
      : { initial: pages, maximum: pages };
    try {
      this.#memory = new WebAssembly.Memory(size as WebAssembly.MemoryDescriptor);
    } catch {
      throw noAddresses(length, ENOMEM);
    }
    const start = runtime.pointerTo(this.#memory.buffer as ArrayBuffer);
    const pointer = c.mmap(start, BigInt(length), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0n);
    this.#address = addressOf(pointer, errnoCell[0]!, length);
  }

  /** The file's bytes, and behind them zeros up to a multiple of 64 KiB. Detached (length 0) once unmapped. */
  get buffer(): ArrayBuffer {
    return this.#memory.buffer as ArrayBuffer;
  }

  /** Empties the buffer and every view on it, and lets go of the file; V8 gives the addresses back later. */
  unmap(): void {
    if (!this.#mapped) return;
    this.#mapped = false;
    // What detaches the buffer: a memory that grew has another one, which nobody but this object ever sees.
    (this.#memory.grow as (pages: number | bigint) => unknown).call(this.#memory, this.#large ? 0n : 0);
    libc().c.mmap(
      runtime.pointer(this.#address),
      BigInt(this.#length),
      PROT_NONE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
      -1,
      0n,
    );
  }
}

function addressOf(pointer: Pointer | null, errno: number, length: number): bigint {
  const address = runtime.address(pointer);
  // MAP_FAILED is all ones, not null.
  if (address === MAP_FAILED || address === 0n) {
    throw noAddresses(length, errno);
  }
  return address;
}

function noAddresses(length: number, errno: number): IpcError {
  return new IpcError("System", `Cannot map ${length} bytes of shared memory: mmap failed with ${errnoText(errno)}`, {
    errno,
    syscall: "mmap",
  });
}

/**
 * A new unnamed memory file of the given size, sealed so that nobody can change its size.
 *
 * @param label Shown in `/proc/PID/maps`.
 * @param length Bytes.
 */
export function sealedMemory(label: string, length: number): IpcFd {
  const { c, errnoCell } = libc();
  const name = cString(label);
  const what = `Cannot create a memory file of ${length} bytes`;
  const fd = new IpcFd(
    check(c.memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), errnoCell[0]!, "memfd_create", what),
  );
  try {
    check(c.ftruncate(fd.fd, BigInt(length)), errnoCell[0]!, "ftruncate", what);
    check(c.fcntl(fd.fd, F_ADD_SEALS, SEALS), errnoCell[0]!, "fcntl", what);
  } catch (error) {
    fd.close();
    throw error;
  }
  return fd;
}

/**
 * Checks a memory file that came from another process and is to be mapped: it must carry the seals, or it could be cut
 * short under the mapping, and it must be one that may be written.
 *
 * @returns Its size in bytes.
 * @throws {IpcError} `Incompatible` if it is something else.
 */
export function checkSealed(fd: number): number {
  const size = checkSeals(fd, SEALS, F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
  if (accessOf(fd) === O_RDWR) return size;
  throw new IpcError("Incompatible", "Cannot use the memory that a peer sent: it is not open for reading and writing");
}

/** `O_RDONLY`, `O_WRONLY` or `O_RDWR`. */
function accessOf(fd: number): number {
  return libc().c.fcntl(fd, F_GETFL, 0) & (O_WRONLY | O_RDWR);
}

/**
 * Checks the seals of a memory file that came from another process, before anything else is asked of it: only memory
 * files have seals, and a call on anything else may wait for as long as a peer likes.
 *
 * @param seals What it must carry.
 * @param without What it must not carry.
 * @returns Its size in bytes.
 * @throws {IpcError} `Incompatible` if it is not sealed so.
 */
export function checkSeals(fd: number, seals: number, without = 0): number {
  const found = libc().c.fcntl(fd, F_GET_SEALS, 0);
  if (found < 0 || (found & seals) !== seals || (found & without) !== 0) {
    throw new IpcError(
      "Incompatible",
      `Cannot use the memory that a peer sent: it ${
        found < 0 ? "is not a memory file" : `carries the seals ${found}`
      }, and must be a memory file with the seals ${seals}` + (without === 0 ? "" : `, without ${without}`),
    );
  }
  if (accessOf(fd) === O_WRONLY) {
    throw new IpcError("Incompatible", "Cannot use the memory that a peer sent: it is not open for reading");
  }
  return fileSize(fd);
}

/** The size in bytes of an open file. */
export function fileSize(fd: number): number {
  const { c, errnoCell } = libc();
  return check(Number(c.lseek(fd, 0n, SEEK_END)), errnoCell[0]!, "lseek", "Cannot read the size of a file");
}

/** Gives the memory of a range of a file back to the system; the range reads as zeros afterwards. */
export function punchHole(fd: number, offset: number, length: number): void {
  // Only advice: where the file system cannot, the memory stays.
  libc().c.fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BigInt(offset), BigInt(length));
}

/** Allocates the memory of a range of a file now, so that running out is an error here and not a fault later. */
export function allocate(fd: number, offset: number, length: number, what: string): void {
  const { c, errnoCell } = libc();
  for (;;) {
    const result = c.fallocate(fd, 0, BigInt(offset), BigInt(length));
    const errno = errnoCell[0]!;
    if (interrupted(result, errno)) continue;
    check(result, errno, "fallocate", what);
    return;
  }
}

/** A text that is the same for two descriptors of the same file, and for no others that are open. */
export function sameFileKey(fd: number): string {
  const { c, errnoCell } = libc();
  const statx = new DataView(new ArrayBuffer(STATX.size)), bytes = new Uint8Array(statx.buffer);
  check(
    c.statx(fd, EMPTY_PATH, AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, bytes),
    errnoCell[0]!,
    "statx",
    "Cannot identify a file",
  );
  const device = `${statx.getUint32(STATX.stx_dev_major, true)}:${statx.getUint32(STATX.stx_dev_minor, true)}`;
  return `${statx.getBigUint64(STATX.stx_ino, true)}:${device}`;
}

/** Bytes of memory that a memory file takes; 0 if that cannot be told. */
export function memoryOf(fd: number): number {
  const statx = new DataView(new ArrayBuffer(STATX.size));
  if (
    libc().c.statx(fd, EMPTY_PATH, AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BLOCKS, new Uint8Array(statx.buffer)) < 0
  ) return 0;
  return Number(statx.getBigUint64(STATX.stx_blocks, true)) * 512; // blocks of 512 bytes, always
}

const EMPTY_PATH = new Uint8Array(1);
