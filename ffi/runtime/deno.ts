// Deno, as the library sees it.
import net from "node:net";
import process from "node:process";
import { IpcError } from "../../base/error.ts";
import type {
  AcceptEvents,
  Acceptor,
  Arguments,
  Functions,
  NativeType,
  Pointer,
  ReadEvents,
  ReadWatch,
  Runtime,
  Signatures,
  TakenConnection,
  Timer,
} from "./runtime.ts";

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

/** Where the bytes go that nobody looks at. */
const IGNORED = new Uint8Array(4096);

/** Node's sockets and servers take a number over, and close it in their own time. */
class SocketWatch implements ReadWatch {
  readonly #socket: net.Socket;

  constructor(fd: number, { onReady, onEnd, onClosed }: ReadEvents) {
    // A callback costs half of what "data" events do.
    const onread = { buffer: IGNORED, callback: () => (onReady(), true) };
    const socket = new net.Socket({ fd, readable: true, writable: false, onread });
    socket.once("close", onClosed);
    socket.on("end", onEnd);
    socket.on("error", onEnd);
    socket.resume();
    socket.unref();
    this.#socket = socket;
  }

  awaited(value: boolean): void {
    if (value) this.#socket.ref();
    else this.#socket.unref();
  }

  close(): void {
    this.#socket.destroy();
  }
}

class SocketConnection implements TakenConnection {
  readonly #socket: net.Socket;

  constructor(socket: net.Socket) {
    this.#socket = socket;
  }

  get fd(): number | undefined {
    // deno-lint-ignore no-explicit-any
    const fd: unknown = (this.#socket as any)._handle?.fd;
    return typeof fd === "number" && fd >= 0 ? fd : undefined;
  }

  park(): void {
    this.#socket.unref();
    this.#socket.on("error", () => {});
  }

  drop(): void {
    this.#socket.destroy();
  }
}

class ServerAcceptor implements Acceptor {
  readonly #server: net.Server;
  #settled: ((refusal: unknown) => void) | undefined;

  constructor({ onConnection, onError, onClosed }: AcceptEvents) {
    const server = this.#server = net.createServer(
      { pauseOnConnect: true },
      (socket) => onConnection(new SocketConnection(socket)),
    );
    server.on("listening", () => this.#settle(undefined));
    server.on("error", (cause) => this.#settle(cause) || onError(cause));
    server.on("close", onClosed);
  }

  /** `false` if nobody waits to learn whether it listens. */
  #settle(refusal: unknown): boolean {
    const settled = this.#settled;
    this.#settled = undefined;
    settled?.(refusal);
    return settled !== undefined;
  }

  listen(fd: number, settled: (refusal: unknown) => void): void {
    this.#settled = settled;
    this.#server.listen({ fd });
  }

  awaited(value: boolean): void {
    if (value) this.#server.ref();
    else this.#server.unref();
  }

  close(): void {
    this.#server.close();
  }
}

function isTaken(refusal: unknown): boolean {
  return (refusal as { code?: string } | undefined)?.code === "EEXIST";
}

/** Deno 2. */
export const deno: Runtime = {
  target: `${Deno.build.os}-${Deno.build.arch}`,
  pid: Deno.pid,
  isWorker,
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
  watchReading(fd, events) {
    try {
      return new SocketWatch(fd, events);
    } catch (cause) {
      if (isTaken(cause)) return undefined;
      throw cause;
    }
  },
  acceptor: (events) => new ServerAcceptor(events),
  isTaken,
};
