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
 *   does what is needed. The last one to close it removes it. If the last one was killed, it stays as a dead file until
 *   a process opens the name, which gets a new cell, or runs `isthmus gc`: the kernel removes no file that has a name.
 * - One guard at a time, in all processes and Workers. If its owner dies, the next one gets the lock, is told by
 *   {@linkcode IpcArcGuard.ownerDied}, and finds the last value that was complete.
 * - {@linkcode IpcArc.read} needs no lock, never waits and never sees half a change.
 * - Waiting parks no thread: {@linkcode IpcArc.acquire} and {@linkcode IpcArc.watch} are woken by a doorbell.
 * - A Worker should close its cells before it ends: what a terminated one held stays mapped as long as the process, and
 *   counts as a reference until another part of the process uses the cell. Deno ends no Worker that is in a loop, or
 *   blocks in `acquireSync()` without a time-out: that one keeps what it has.
 * - A guard that was forgotten is given back, with a warning and without its changes, when the garbage collector finds it.
 *
 * Another user's cell, and one that others may write to, is refused (`Permission`) unless the option
 * {@linkcode ArcOptions.trust}, or for writers {@linkcode ArcOptions.mode}, says otherwise; root's may be used by all.
 * Programs that share a cell trust one another: the memory holds a mutex of the C library, and a program that may write it can
 * make the others fail. Damage that is found is an {@linkcode IpcError} with code `Corrupt`. One kind cannot be: a
 * program that cuts the file short (`truncate`) while others have it mapped. Their next access is a SIGBUS, which ends
 * them; no code in JavaScript can catch it. It takes the same rights as killing them. Shared memory itself cannot run
 * out later: all of it is allocated when the cell is created.
 *
 * ## Programs in other languages
 *
 * The cell NAME is the file `/dev/shm/isthmus.NAME`. Its memory, byte by byte, and the steps on it are specified in
 * `docs/protocol.md` of the repository, under "Cells". There are clients for C and for Python in `clients/`.
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
