// Concept: memory that cannot change its size.
import type { IpcFd } from "../file/fd.ts";
import type { Pointer } from "../runtime/runtime.ts";

/** Shared memory as this process sees it. */
export interface MappedMemory {
  /** All of it. Detached once unmapped, so that a stale view is empty and never dangling. */
  readonly buffer: ArrayBuffer;
  /** Bytes mapped. */
  readonly length: number;
  /** Where some byte of it lies. */
  pointerAt(offset: number): Pointer;
  /** It stays mapped when the thread ends: for memory with a mutex, which must outlive its owner. */
  outliveThread(): void;
  /** Gives the mapping up; twice is harmless. */
  unmap(): void;
}

/** Reads memory that cannot change. */
export interface FinalReader {
  /** Goes on until a time on the clock of `performance.now()`. @returns All bytes, or `undefined` if the time was over. */
  read(memory: number, until: number): Uint8Array<ArrayBuffer> | undefined;
}

/**
 * Unnamed memory, which processes share that do not trust one another. It comes with a handle, and who has none can do
 * nothing. Nobody can cut it short under another's mapping: that is an error which no program survives.
 */
export interface FixedMemory {
  /**
   * Makes memory that reads as zeros, and takes none of the machine's until it is written to.
   *
   * @param label What it is for, shown to who looks at the process.
   */
  create(label: string, length: number): IpcFd;
  /**
   * Checks memory that came from a peer, before it is mapped.
   *
   * @returns Its length.
   * @throws {IpcError} `Incompatible` if it could change its size, or not be written.
   */
  accept(memory: number): number;
  /** Maps the first bytes of it. */
  map(memory: number, length: number): MappedMemory;
  /** Maps a head, and behind it the data twice in a row: what crosses the end goes on at the beginning. */
  mapMirrored(memory: number, headLength: number, dataLength: number): MappedMemory;
  /** Gives whole pages back to the machine; they read as zeros afterwards. Advice: where it cannot be, they stay. */
  giveBack(memory: number, offset: number, length: number): void;
  /** Bytes of the machine's memory that it takes. */
  used(memory: number): number;
  /** Makes memory that holds some bytes, and that nobody can change any more. */
  createFinal(label: string, parts: Iterable<Uint8Array>, length: number): IpcFd;
  /**
   * Reads memory that a peer made so; in pieces, as it may be large.
   *
   * @param admit Throws if so many bytes are too many; asked before any of them is read.
   * @throws {IpcError} `Incompatible` if it could still change; `Corrupt` if it is of another length.
   */
  readFinal(memory: number, length: number, admit: (length: number) => void): FinalReader;
}
