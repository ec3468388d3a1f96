// Closes what a Worker leaves open when it ends, also by `terminate()`: the kernel does so for processes only, and a peer
// would wait for a dead Worker for ever.
//
// glibc calls a C function with one pointer for every registration when a thread ends. There is no way to take one back,
// and the number of a descriptor that was closed before may be another's by then. So what is registered is not the
// descriptor but a `FILE` that carries its number, -1 while it carries none: `fclose` closes the number that it finds.
import { cString, libc } from "./libc.ts";
import { IO_FILE } from "./structs.ts";

/** Index, in int32, of the descriptor in a `FILE`. */
const FILENO = IO_FILE._fileno / 4;

/** On the main thread there is nothing to do: with it the process ends. */
const isWorker = "WorkerGlobalScope" in globalThis;

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
  const guard = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(file, IO_FILE.size));
  c.close(guard[FILENO]!);
  guard[FILENO] = -1;
  c.__cxa_thread_atexit_impl(c.fclose, file, null);
  return guard;
}
