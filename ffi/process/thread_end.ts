// Closes what a Worker leaves open when it ends, also by `terminate()`: the kernel does so for processes only, and a peer
// would wait for a dead Worker without end.
//
// glibc calls a C function with one pointer for every registration when a thread ends. There is no way to take one back,
// and the number of a descriptor that was closed before may be another's by then. So what is registered is not the
// descriptor but a `FILE` that carries its number, -1 while it carries none: `fclose` closes the number that it finds.
//
// Mapped memory goes in the same way. glibc maps a file that it was asked to read so, and `fclose` unmaps from where the
// buffer of the `FILE` begins to where it ends: what is put there is a mapping of ours.
import { cString, libc } from "../libc/libc.ts";
import { MFD_CLOEXEC } from "../libc/platform.ts";
import { IO_FILE } from "../libc/structs.ts";
import { runtime } from "../runtime/mod.ts";
import type { Pointer } from "../runtime/runtime.ts";

/** Index, in int32, of the descriptor in a `FILE`. */
const FILENO = IO_FILE._fileno / 4;

/** On the main thread there is nothing to do: with it the process ends. */
const isWorker = runtime.isWorker;

/** Those that carry no descriptor. */
const free: Int32Array[] = [];

/**
 * Closes a descriptor when this thread ends, unless {@linkcode unguardFd} was called before.
 *
 * @returns What to pass to `unguardFd`; `undefined` where it is not necessary, or not possible.
 */
export function guardFd(fd: number): Int32Array | undefined {
  if (!isWorker) return undefined;
  const guard = free.pop() ?? newGuard();
  if (guard !== undefined) guard[FILENO] = fd;
  return guard;
}

/** The descriptor is closed, or another's, from now on. Only the first call counts: the caller forgets the guard. */
export function unguardFd(guard: Int32Array | undefined): void {
  if (guard === undefined) return;
  guard[FILENO] = -1;
  free.push(guard);
}

function newGuard(): Int32Array | undefined {
  const { c } = libc();
  const file = c.fopen(cString("/dev/null"), cString("re"));
  if (file === null) return undefined; // the descriptor table is full
  const guard = new Int32Array(runtime.memoryAt(file, IO_FILE.size));
  c.close(guard[FILENO]!);
  guard[FILENO] = -1;
  closeAtThreadEnd(file);
  return guard;
}

/**
 * Has glibc close a `FILE` when this thread ends. The last argument says which library the function is of: given null,
 * glibc reads the address 0 if nothing was registered in this thread before.
 */
function closeAtThreadEnd(file: Pointer): void {
  const { c } = libc();
  c.__cxa_thread_atexit_impl(c.fclose, file, c.fclose);
}

/** Unmaps a span when this thread ends, while it is armed. */
export interface SpanGuard {
  /** The words of a `FILE`. */
  readonly words: Int32Array;
  readonly longs: BigUint64Array;
}

/** What `fclose` takes for open, and `close` for none of this process's. */
const NO_DESCRIPTOR = 0x7fff_ffff;
/** Indices, in 8 bytes, of a `FILE`'s buffer. */
const BUFFER = IO_FILE._IO_buf_base / 8, BUFFER_END = IO_FILE._IO_buf_end / 8;

/** Those that no mapping has. */
const freeSpans: SpanGuard[] = [];
let spansWork = true;

/**
 * Unmaps memory when this thread ends, unless {@linkcode disarmSpan} or {@linkcode unguardSpan} was called before.
 *
 * @returns `undefined` where it is not necessary, or not possible.
 */
export function guardSpan(address: bigint, length: number): SpanGuard | undefined {
  if (!isWorker || !spansWork) return undefined;
  const guard = freeSpans.pop() ?? newSpanGuard();
  if (guard === undefined) return undefined;
  armSpan(guard, { address, length });
  return guard;
}

/** Has the memory unmapped at the end of this thread, again. */
export function armSpan(
  { words, longs }: SpanGuard,
  span: { readonly address: bigint; readonly length: number },
): void {
  longs[BUFFER] = span.address;
  longs[BUFFER_END] = span.address + BigInt(span.length);
  words[FILENO] = NO_DESCRIPTOR;
}

/** Leaves the memory as it is at the end of this thread. */
export function disarmSpan({ words, longs }: SpanGuard): void {
  words[FILENO] = -1; // first: a `FILE` that is not open has no buffer that it would free
  longs[BUFFER] = longs[BUFFER_END] = 0n;
}

/** The memory is unmapped, or another's, from now on. */
export function unguardSpan(guard: SpanGuard): void {
  disarmSpan(guard);
  freeSpans.push(guard);
}

function newSpanGuard(): SpanGuard | undefined {
  const { c } = libc();
  const fd = c.memfd_create(cString("isthmus-guard"), MFD_CLOEXEC);
  if (fd < 0) return undefined;
  if (c.write(fd, new Uint8Array(1), 1n) < 1) { // no memory: a file without a byte could not be mapped
    c.close(fd);
    return undefined;
  }
  const file = c.fopen(cString(`/proc/self/fd/${fd}`), cString("rme"));
  c.close(fd);
  if (file === null) return undefined;
  c.fgetc(file); // maps it
  const memory = runtime.memoryAt(file, IO_FILE.size);
  const guard = { words: new Int32Array(memory), longs: new BigUint64Array(memory) };
  const start = guard.longs[BUFFER]!, length = guard.longs[BUFFER_END]! - start;
  if (start === 0n || length !== 1n) {
    spansWork = false; // another C library than expected: it has read the file
    c.fclose_call(file);
    return undefined;
  }
  c.munmap(runtime.pointer(start), 1n);
  c.close(guard.words[FILENO]!);
  disarmSpan(guard);
  closeAtThreadEnd(file);
  return guard;
}
