/**
 * Shared cells: one value that several processes hold under a name, with a lock that survives the death of its owner.
 *
 * ```ts
 * import { array, f64, IpcArc, struct, u32 } from "@isthmus/ipc/arc";
 * import { assertEquals } from "@std/assert";
 *
 * // Any value, as CBOR …
 * using config = IpcArc.createOrLoad(`config-${crypto.randomUUID()}`, { level: "info", peers: ["a"] });
 * await config.update((value) => ({ ...value, level: "debug" }));
 * assertEquals(config.read().level, "debug");
 *
 * // … or a layout: then guard.value is the shared memory itself.
 * const layout = struct({ next: u32, samples: array(f64, 100) });
 * const value = { next: 0, samples: new Float64Array(100) };
 * using ring = IpcArc.create(`ring-${crypto.randomUUID()}`, value, { layout });
 * {
 *   using guard = await ring.acquire();
 *   guard.value.samples[guard.value.next++] = 20.5;
 * }
 * assertEquals(ring.read().next, 1);
 * ```
 *
 * ## What holds
 *
 * - {@linkcode IpcArc.create} makes a cell, {@linkcode IpcArc.load} attaches to one, {@linkcode IpcArc.createOrLoad}
 *   does what is needed. The last one to close it removes it. If the last one was killed, it lies there dead until
 *   somebody opens the name, who does not get it, or runs `isthmus gc`: the kernel removes no file that has a name.
 * - One guard at a time, in all processes and Workers. If its owner dies, the next one gets the lock, is told by
 *   {@linkcode IpcArcGuard.ownerDied}, and finds the last value that was complete.
 * - {@linkcode IpcArc.read} needs no lock, waits for nobody and never sees half a change.
 * - Waiting parks no thread: {@linkcode IpcArc.acquire} and {@linkcode IpcArc.watch} are woken by a doorbell.
 * - A Worker should close its cells before it ends: what a terminated one held stays mapped as long as the process, and
 *   counts as a reference until another part of the process uses the cell. Deno ends no Worker that is in a loop, or
 *   blocks in `acquireSync()` without a time-out: that one keeps what it has.
 * - A guard that was forgotten is given back, with a warning and without its changes, when the garbage collector finds it.
 *
 * Another user's cell, and one that others may write to, is refused (`Permission`) unless the option
 * {@linkcode ArcOptions.trust}, or for writers {@linkcode ArcOptions.mode}, says otherwise; root's is anybody's to use.
 * Programs that share a cell trust one another: the memory holds a mutex of the C library, and a program that may write it can
 * make the others fail. Damage that is found is an {@linkcode IpcError} with code `Corrupt`. One kind cannot be: a
 * program that cuts the file short (`truncate`) while others have it mapped. Their next access is a SIGBUS, which ends
 * them; no code in JavaScript can catch it. It takes the same rights as killing them. Shared memory itself cannot run
 * out later: all of it is allocated when the cell is created.
 *
 * ## The memory, for programs in other languages
 *
 * The cell NAME is the file `/dev/shm/isthmus.NAME`. All numbers are in the byte order of the machine.
 *
 * ```text
 *    0   8  magic "IPCARC\0\1"
 *    8   4  format version: 1
 *   12   4  kind: 0 CBOR, 1 POD
 *   16   8  segment size, in bytes: that of the file
 *   24   4  reference count, as of the last attach or close
 *   28   4  state: 0 starting, 1 ready, 2 gone
 *   32   8  layout fingerprint: FNV-1a (64 bits) of the text at 156; 0 = CBOR
 *   40   4  change counter c: odd while a write is in progress; the value is in buffer (c >> 1) & 1
 *   44   4  waiters: not 0 if a program may be waiting for the lock
 *   48   4  length of the value in buffer 0
 *   52   4  length of the value in buffer 1
 *   56   4  offset of buffer 0
 *   60   4  distance from buffer 0 to buffer 1; 0 for a number, which has one place only
 *   64  64  pthread_mutex_t (process-shared, robust, normal)
 *  128   4  watchers: not 0 if a program may be watching
 *  132   4  starving: 1 + the bell of a waiter to whom others should give way; 0 if there is none
 *  136   4  bells in use: 1 + the highest number ever taken
 *  140   4  next ticket
 *  144   4  capacity: most bytes of a value
 *  148   4  writer of buffer 0: 1 if written by this library, 0 if by another program
 *  152   4  writer of buffer 1
 *  156   4  offset of the text that describes the layout, such as {"id":u32,"hits":[4]f64}
 *  160   4  length of that text
 *  164   4  whose mutex it is: 1 glibc, + 256 × sizeof(pthread_mutex_t)
 *  168   4  PID namespace of all that ever attached: the low 32 bits of its inode; 0: of several, or unknown
 *  172  20  reserved
 *  192  32  × 256 bells: owner (thread id), start, namespace, wants, ticket, 12 bytes reserved
 * 8384   …  the text, then buffer 0 and buffer 1
 * ```
 *
 * - **To attach**: open the file, take a shared `flock`, look whether the name still means the same file (if not, begin
 *   again), and lock one free byte from `0x10000000` to `0x1000ffff` for writing with `F_OFD_SETLK`, by which holders are
 *   counted. Map it by a second `open`: a mapping keeps its file description open, and that its locks. Compare magic,
 *   version, kind and, for POD, the fingerprint. If the word at 168 is not your PID namespace, store 0 there.
 * - **The mutex** is of the type PTHREAD_MUTEX_NORMAL, robust and process-shared, and it is the C library's own: compare
 *   the word at 164. One of another library (musl), or another processor, keeps nobody apart: do not use the cell then.
 * - **To lock**: `pthread_mutex_trylock`. On EBUSY, sleep by a futex (not private) on the first word of the mutex: it has
 *   the owner's thread id in the low 30 bits, FUTEX_OWNER_DIED in bit 30 and FUTEX_WAITERS in bit 31. Set FUTEX_WAITERS by
 *   compare-and-swap, FUTEX_WAIT for that value, try again; having slept and got the lock, set FUTEX_WAITERS again.
 *   `pthread_mutex_lock` does for programs that share no cell across PID namespaces: if a thread is killed while it waits
 *   in there, the kernel declares an owner of the same thread id in another namespace dead.
 * - **After locking**: if the counter is odd, the last writer did not finish: add 3
 *   to it (1 if the distance at 60 is 0), and the value from before its write is current. After `EOWNERDEAD`, call
 *   `pthread_mutex_consistent`.
 * - **To read**, holding the lock: the value is at *offset + ((c >> 1) & 1) × distance*, with the length at 48 or 52.
 *   Without the lock: note c, copy the value, and look at c again; if it has grown by more than 2 beyond the even number
 *   at or below the first, begin again.
 * - **To write**, holding the lock: add 1 to c, so that it is odd; a full memory barrier; fill the *other* buffer, its
 *   length, and 0 as its writer; add 1 to c. Then, if the word at 128 is not 0: set it to 0, and for every bell in use
 *   with bit 1 in *wants*, clear the bit and ring. A number with distance 0 is written in place by one store, and 2 is
 *   added to c.
 * - **To unlock**: `pthread_mutex_unlock`. Then, if the word at 44 is not 0: set it to 0; of the bells in use with bit 0 in
 *   *wants* choose the one with the lowest ticket, set the word to 1 again if there are others, clear the bit, and ring.
 *   Who leaves this out makes waiters look for themselves, which they do every 75 ms.
 * - **To ring** bell N: open `/dev/shm/isthmus-bell.INODE.N` (INODE is the number of the cell's file in hexadecimal)
 *   for writing without blocking, write one byte, close. Errors mean that nobody listens.
 * - **To leave**: close the file. If an exclusive `flock` can be had first, nobody else holds the cell: remove its bells,
 *   then the file.
 *
 * CBOR is RFC 8949 with text keys. POD values lie as a C compiler lays them out. `tests/languages/` in the repository has
 * a program in C and one in Python.
 *
 * @module
 */
export { IpcArc } from "./arc.ts";
export type { ArcOptions } from "./options.ts";
export { AtomicCell } from "./atomic.ts";
export { IpcArcGuard } from "./guard.ts";
export { type IpcLock, type IpcLocks, type LockRequestOptions, locks } from "./locks/locks.ts";
export type { LockMode } from "./locks/lock_request.ts";
export type { LockInfo } from "./locks/query.ts";
export { IpcError, type IpcErrorCode, type IpcErrorOptions } from "../base/error.ts";
export type { Trust } from "../ffi/file/trust.ts";
export type { SyncWaitOptions, WaitOptions } from "../base/wait.ts";
export type { Layout, LayoutValue } from "./layout/layout.ts";
export { array, bytes } from "./layout/array.ts";
export {
  bool,
  f32,
  f64,
  i16,
  i32,
  i64,
  i8,
  type NumericArray,
  type ScalarLayout,
  u16,
  u32,
  u64,
  u8,
} from "./layout/scalar.ts";
export { struct, type StructValue } from "./layout/struct.ts";
