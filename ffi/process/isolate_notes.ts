// What an isolate holds of the process, noted in memory that outlives it, where the next isolate on its thread finds it.
//
// A program under `--watch` may be dropped without any event: by an uncaught error, or when it does not end in time after
// the signal that `deno serve --watch` sends. Its descriptors, its mappings and its locks stay, and to the kernel the
// thread that holds them lives: it runs the next version of the program. So that one lets go of them, before it opens
// anything itself.
//
// ```text
//      0  version (4) · 4 highest lock slot + 1 (4) · 8 highest mapping slot + 1 (4)
//   4096  locks      1024 of 8 bytes: the address of a mutex
//  12288  held       1024 of 1 byte: 1 while this isolate holds that mutex
//  16384  mappings   4096 of 16 bytes: address and length, 0 if free
//  81920  owned      65536 of 1 byte, one a descriptor: 1 while this isolate owns it
// 147456  adopted    65536 of 4 bytes: while Deno has it: 1 + the descriptor that it is a duplicate of, or what tells
//                    its file from others, a negative number
// 409600  lent       4096 of 1 byte, one a mapping: 1 while another isolate may have got part of it
// ```
import { fileStatus } from "../file/file_status.ts";
import { libc } from "../libc/libc.ts";
import { MAP_ANONYMOUS, MAP_NORESERVE, MAP_PRIVATE, PROT_READ, PROT_WRITE } from "../libc/platform.ts";
import { runtime } from "../runtime/mod.ts";

const LOCKS_AT = 4096, LOCKS = 1024;
const HELD_AT = LOCKS_AT + 8 * LOCKS;
const MAPPINGS_AT = 16_384, MAPPINGS = 4096;
const OWNED_AT = MAPPINGS_AT + 16 * MAPPINGS, OWNED = 65_536;
const ADOPTED_AT = OWNED_AT + OWNED;
const LENT_AT = ADOPTED_AT + 4 * OWNED;
const SIZE = LENT_AT + MAPPINGS;
const VERSION = 1;

/**
 * Found by a key of `pthread_setspecific`: it belongs to the thread, and no other library stores a number of this kind, as
 * no address begins with these two bytes.
 */
const TAG = 0x4953n << 48n, ADDRESS = (1n << 48n) - 1n;
/** Keys that are looked at: a process has some ten. */
const KEYS = 256;

/** Of two copies of this package in one isolate the second must not take the first for one that is gone. */
const IN_ISOLATE = Symbol.for("isthmus.notes");

/** The notes of this isolate. */
class Notes {
  readonly words: Int32Array;
  readonly locks: BigUint64Array;
  readonly held: Uint8Array;
  readonly mappings: BigUint64Array;
  readonly lent: Uint8Array;
  readonly owned: Uint8Array;
  readonly adopted: Int32Array;
  readonly #freeLocks: number[] = [];
  readonly #freeMappings: number[] = [];

  constructor(memory: ArrayBuffer) {
    this.words = new Int32Array(memory, 0, 3);
    this.locks = new BigUint64Array(memory, LOCKS_AT, LOCKS);
    this.held = new Uint8Array(memory, HELD_AT, LOCKS);
    this.mappings = new BigUint64Array(memory, MAPPINGS_AT, 2 * MAPPINGS);
    this.lent = new Uint8Array(memory, LENT_AT, MAPPINGS);
    this.owned = new Uint8Array(memory, OWNED_AT, OWNED);
    this.adopted = new Int32Array(memory, ADOPTED_AT, OWNED);
    this.words[0] = VERSION;
  }

  slot(free: number[], word: number, most: number): number {
    const slot = free.pop() ?? this.words[word]!;
    if (slot >= most) return -1;
    if (slot === this.words[word]) this.words[word] = slot + 1;
    return slot;
  }

  addLock(address: bigint): number {
    const slot = this.slot(this.#freeLocks, 1, LOCKS);
    if (slot >= 0) this.locks[slot] = address;
    return slot;
  }

  removeLock(slot: number): void {
    this.held[slot] = 0;
    this.#freeLocks.push(slot);
  }

  addMapping(address: bigint, length: number): number {
    const slot = this.slot(this.#freeMappings, 2, MAPPINGS);
    if (slot < 0) return slot;
    this.mappings[2 * slot + 1] = BigInt(length);
    this.mappings[2 * slot] = address;
    this.lent[slot] = 0;
    return slot;
  }

  removeMapping(slot: number): void {
    this.mappings[2 * slot] = 0n;
    this.#freeMappings.push(slot);
  }

  /** Notes which files the adopted descriptors are of, while the descriptors are open that they are duplicates of. */
  noteFiles(): void {
    for (let fd = 3; fd < OWNED; fd++) {
      const of = this.adopted[fd]! - 1;
      if (of < 0) continue;
      const file = this.owned[of] === 0 ? 0 : fileOf(of);
      this.adopted[fd] = file === fileOf(fd) ? file : 0;
    }
  }

  /** What another isolate has left behind. */
  letGo(): void {
    const { c } = libc();
    // The locks first: they lie in the mappings. What was being written is repaired by the next owner.
    for (let slot = 0; slot < Math.min(this.words[1]!, LOCKS); slot++) {
      if (this.held[slot] !== 0) c.pthread_mutex_unlock(runtime.pointer(this.locks[slot]!));
    }
    // Deno may have closed what it had adopted, and the number be another's by now.
    this.noteFiles();
    for (let fd = 3; fd < OWNED; fd++) if (this.adopted[fd]! < 0 && this.adopted[fd] === fileOf(fd)) c.close(fd);
    for (let fd = 3; fd < OWNED; fd++) if (this.owned[fd] !== 0) c.close(fd);
    for (let slot = 0; slot < Math.min(this.words[2]!, MAPPINGS); slot++) {
      const address = this.mappings[2 * slot]!;
      if (address !== 0n && this.lent[slot] === 0) {
        c.munmap(runtime.pointer(address), this.mappings[2 * slot + 1]!);
      }
    }
  }
}

/** What tells the pipe or the socket of a descriptor from others: a negative number, or 0 if it is neither. */
function fileOf(fd: number): number {
  const status = fileStatus(fd);
  return status?.pipe || status?.socket ? Number(status.inode & 0x3fff_ffffn) - 0x4000_0000 : 0;
}

let notes: Notes | undefined;

/** The notes of this isolate; at the first call, lets go of what the isolate before it on this thread has left. */
function notesOfIsolate(): Notes {
  return notes ??= begin();
}

function begin(): Notes {
  const shared = globalThis as unknown as Record<symbol, ArrayBuffer | undefined>;
  const ofThisIsolate = shared[IN_ISOLATE];
  // Each copy of the package has its own; only the first one's can be found by the next isolate.
  if (ofThisIsolate !== undefined || runtime.isWorker) return new Notes(new ArrayBuffer(SIZE));
  const { c } = libc();
  let key = 0;
  while (key < KEYS && c.pthread_getspecific(key) >> 48n !== TAG >> 48n) key++;
  if (key < KEYS) {
    const memory = runtime.memoryAt(
      runtime.pointer(c.pthread_getspecific(key) & ADDRESS)!,
      SIZE,
    );
    shared[IN_ISOLATE] = memory;
    if (new Int32Array(memory, 0, 1)[0] === VERSION) new Notes(memory).letGo();
    new Uint8Array(memory).fill(0);
    return new Notes(memory);
  }
  const memory = newMemory();
  shared[IN_ISOLATE] = memory;
  return new Notes(memory);
}

/** Memory that the next isolate on this thread finds, or, where that cannot be had, some that it does not. */
function newMemory(): ArrayBuffer {
  const { c } = libc();
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  const pointer = c.mmap(null, BigInt(SIZE), PROT_READ | PROT_WRITE, flags, -1, 0n);
  const address = runtime.address(pointer);
  if (address >> 48n !== 0n || pointer === null) return new ArrayBuffer(SIZE); // MAP_FAILED
  const key = new Uint32Array(1);
  if (c.pthread_key_create(key, null) !== 0) return new ArrayBuffer(SIZE);
  c.pthread_setspecific(key[0]!, TAG | address);
  return runtime.memoryAt(pointer, SIZE);
}

/** The bytes in which descriptors are noted that this isolate owns; higher numbers are not noted. */
export function ownedDescriptors(): Uint8Array {
  return notesOfIsolate().owned;
}

/** A mutex that this isolate may hold. */
export class NotedLock {
  readonly #slot: number;
  readonly #held: Uint8Array;

  constructor(address: bigint) {
    const all = notesOfIsolate();
    this.#held = all.held;
    this.#slot = all.addLock(address);
  }

  /** Notes whether it is held. */
  set held(value: boolean) {
    if (this.#slot >= 0) this.#held[this.#slot] = value ? 1 : 0;
  }

  /** The mutex is no more. */
  forget(): void {
    if (this.#slot >= 0) notesOfIsolate().removeLock(this.#slot);
  }
}

/**
 * Notes memory that is mapped.
 *
 * @returns What to pass to {@linkcode forgetMapping}.
 */
export function noteMapping(address: bigint, length: number): number {
  return notesOfIsolate().addMapping(address, length);
}

/** The memory was unmapped. */
export function forgetMapping(note: number): void {
  if (note >= 0) notesOfIsolate().removeMapping(note);
}

/**
 * Notes whether part of it is lent to the program, which may have given that to a Worker: then it must stay, whatever
 * becomes of this isolate.
 */
export function noteLent(note: number, lent: boolean): void {
  if (note >= 0) notesOfIsolate().lent[note] = lent ? 1 : 0;
}

/** Deno has a duplicate of a descriptor of this isolate. */
export function noteAdopted(duplicate: number, of: number): void {
  notesOfIsolate().adopted[duplicate] = of + 1;
}

/** All that this isolate owns is about to be closed: the next one must know by itself what Deno still had. */
export function noteAdoptedFiles(): void {
  notesOfIsolate().noteFiles();
}

/** Deno has closed it. */
export function forgetAdopted(duplicate: number): void {
  notesOfIsolate().adopted[duplicate] = 0;
}
