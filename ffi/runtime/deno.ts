// Deno, as the library sees it.
import process from "node:process";
import { IpcError } from "../../base/error.ts";
import { isTaken, ServerAcceptor, watchBySocket } from "./sockets.ts";
import type { Arguments, Functions, NativeType, Pointer, Runtime, Signatures, Timer } from "./runtime.ts";

/** Deno's own name for the same objects. */
type DenoPointer = Deno.PointerObject;

const isWorker = "WorkerGlobalScope" in globalThis;

function bind<const S extends Signatures>(library: string, signatures: S): Functions<S> {
  try {
    const opened = Deno.dlopen(library, signatures as unknown as Deno.ForeignLibraryInterface);
    // The functions are objects of their own, and stay callable: a C library is loaded as long as the process is. The
    // handle would be an open resource, which a test with `sanitizeResources` counts as a leak.
    opened.close();
    return opened.symbols as unknown as Functions<S>;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable || cause instanceof Deno.errors.PermissionDenied) {
      throw new IpcError("Permission", `Cannot open "${library}": run again with --allow-ffi`, { cause });
    }
    throw cause;
  }
}

function onAnotherThread<const P extends readonly NativeType[]>(
  address: Pointer,
  parameters: P,
): (...args: Arguments<P>) => Promise<number> {
  const definition = { parameters, result: "i32", nonblocking: true } as const;
  const call = new Deno.UnsafeFnPointer(address as unknown as Deno.PointerObject<typeof definition>, definition);
  return (...args) => (call.call as unknown as (...args: unknown[]) => Promise<number>).apply(call, args);
}

/**
 * Waits for the end of the isolate.
 *
 * The event "unload" comes first, and the program may have listeners of its own for it, in which it still sends or receives.
 * After it Deno tells `process` of the exit, so that is when things are let go of; but not after `Deno.exit()`, which
 * itself makes the event. An isolate that ends by an uncaught error, and a Worker that is terminated, hear of nothing.
 */
function atExit(act: () => void): void {
  process.on("exit", act);
  globalThis.addEventListener("unload", () => {
    if (!isExitAnnounced()) act();
  });
}

/** Whether the event that is just dispatched comes from the runtime itself. */
function isExitAnnounced(): boolean {
  if (isWorker) return false;
  const { stackTraceLimit, prepareStackTrace } = Error as { stackTraceLimit: number; prepareStackTrace?: unknown };
  Error.stackTraceLimit = 50;
  Object.assign(Error, { prepareStackTrace: undefined });
  const { stack } = new Error();
  Object.assign(Error, { stackTraceLimit, prepareStackTrace });
  return stack !== undefined && /dispatchUnloadEvent/.test(stack) && !/:deno_os\//.test(stack);
}

/** Deno 2. */
export const denoRuntime = (): Runtime => ({
  target: `${Deno.build.os}-${Deno.build.arch}`,
  pid: Deno.pid,
  isWorker,
  keepsLoads: true,
  readsUnawaited: true,
  loadsWrite: false,
  bind,
  onAnotherThread,
  pointer: (address) => Deno.UnsafePointer.create(address) as unknown as Pointer | null,
  address: (pointer) => Deno.UnsafePointer.value(pointer as unknown as DenoPointer | null),
  pointerTo: (memory) => Deno.UnsafePointer.of(memory as Uint8Array<ArrayBuffer>) as unknown as Pointer,
  memoryAt: (pointer, length) => Deno.UnsafePointerView.getArrayBuffer(pointer as unknown as DenoPointer, length),
  textAt: (pointer, offset) => Deno.UnsafePointerView.getCString(pointer as unknown as DenoPointer, offset),
  errorClasses: Object.entries(Deno.errors).map(([name, type]) => [`Deno.errors.${name}`, type]),
  atExit,
  timerAwaited(timer: Timer, value: boolean) {
    if (value) Deno.refTimer(timer as unknown as number);
    else Deno.unrefTimer(timer as unknown as number);
  },
  watchReading: watchBySocket,
  acceptor: (events) => new ServerAcceptor(events),
  isTaken,
});
