// Files mapped for programs to keep the buffer of.
import { libc } from "../libc/libc.ts";
import {
  ENOMEM,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from "../libc/platform.ts";
import { runtime } from "../runtime/mod.ts";
import { addressOf, noAddresses } from "./addresses.ts";

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
