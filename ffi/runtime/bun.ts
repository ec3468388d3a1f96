// Bun, as the library sees it: `bun:ffi`.
import process from "node:process";
import { nodeProcess } from "./node_process.ts";
import { callByWorker } from "./other_thread.ts";
import type {
  Arguments,
  Functions,
  NativeType,
  Pointer,
  ReadEvents,
  ReadWatch,
  Runtime,
  Signatures,
} from "./runtime.ts";
import { isTaken, ServerAcceptor } from "./sockets.ts";

/** How Bun hands pointers around: those beyond 2^53, which point at nothing, are bigints. */
type BunPointer = number | bigint;

/** What is used of `bun:ffi`. */
interface Ffi {
  dlopen(library: string, symbols: Record<string, unknown>): { readonly symbols: Record<string, BunFunction> };
  toArrayBuffer(pointer: BunPointer, offset: number, length: number): ArrayBuffer;
  ptr(memory: ArrayBuffer): number;
  readonly CString: new (pointer: BunPointer, offset: number) => { toString(): string };
}

type BunFunction = ((...args: unknown[]) => unknown) & { readonly ptr?: BunPointer };

const bun = () =>
  (globalThis as unknown as { Bun: { file(fd: number): { stream(): ReadableStream<Uint8Array> } } }).Bun;

let loaded: Ffi | undefined;

function ffi(): Ffi {
  // Not imported: Deno and Node.js would look for it.
  return loaded ??= process.getBuiltinModule("bun:ffi" as "node:fs") as unknown as Ffi;
}

/** Bun's names of the types. */
const typeOf = (type: NativeType) => (type === "pointer" || type === "buffer" ? "ptr" : type);

const asAddress = (pointer: Pointer | null) => BigInt((pointer ?? 0) as BunPointer);

function bind<const S extends Signatures>(library: string, signatures: S): Functions<S> {
  const functions: Record<string, unknown> = {};
  for (const [key, signature] of Object.entries(signatures)) {
    const name = signature.name ?? key;
    const isFunction = "parameters" in signature;
    const { symbols } = ffi().dlopen(library, {
      [name]: {
        args: isFunction ? signature.parameters.map(typeOf) : [],
        returns: isFunction ? typeOf(signature.result) : "i32",
      },
    });
    functions[key] = isFunction ? symbols[name] : symbols[name]!.ptr;
  }
  return functions as Functions<S>;
}

function onAnotherThread<const P extends readonly NativeType[]>(
  address: Pointer,
  parameters: P,
): (...args: Arguments<P>) => Promise<number> {
  const define = `
const { ptr, args } = require("node:worker_threads").workerData;
const { CFunction } = require("bun:ffi");
const call = new CFunction({ ptr, args, returns: "i32" });
`;
  const data = { ptr: address as unknown as BunPointer, args: parameters.map(typeOf) };
  return callByWorker(define, data) as (...args: Arguments<P>) => Promise<number>;
}

/**
 * Reads a pipe by a stream of its file: Bun's sockets refuse pipes. Reading keeps the process alive, and cannot be told
 * not to. So nothing is read while nobody waits, and an end is reported as soon as somebody does.
 */
class FileWatch implements ReadWatch {
  readonly #fd: number;
  readonly #events: ReadEvents;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #awaited = false;
  #closed = false;

  constructor(fd: number, events: ReadEvents) {
    this.#fd = fd;
    this.#events = events;
  }

  awaited(value: boolean): void {
    this.#awaited = value;
    if (value) this.#begin();
    // A turn later: who waits for one message after another does not begin and end for each.
    else setImmediate(() => !this.#awaited && this.#end());
  }

  #begin(): void {
    if (this.#reader !== undefined || this.#closed) return;
    const reader = this.#reader = bun().file(this.#fd).stream().getReader();
    void this.#read(reader);
  }

  async #read(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    try {
      while (!(await reader.read()).done) this.#events.onReady();
    } catch {
      // Told below, as an end.
    }
    if (this.#reader === reader) this.#events.onEnd();
  }

  async #end(): Promise<void> {
    const reader = this.#reader;
    this.#reader = undefined;
    await reader?.cancel().catch(() => {});
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#awaited = false;
    void this.#end().finally(() => {
      process.getBuiltinModule("node:fs").closeSync(this.#fd);
      this.#events.onClosed();
    });
  }
}

/** Bun 1.4 and later. */
export const bunRuntime = (): Runtime => ({
  ...nodeProcess(),
  keepsLoads: false,
  readsUnawaited: false,
  loadsWrite: true,
  bind,
  onAnotherThread,
  pointer: (address) => (address === 0n ? null : Number(address) as unknown as Pointer),
  address: asAddress,
  pointerTo(memory) {
    // The buffer first: a small view has none, and moves, until it is asked for.
    const whole = memory instanceof ArrayBuffer ? memory : memory.buffer;
    const offset = memory instanceof ArrayBuffer ? 0 : memory.byteOffset;
    return (ffi().ptr(whole) + offset) as unknown as Pointer;
  },
  memoryAt: (pointer, length) => ffi().toArrayBuffer(pointer as unknown as BunPointer, 0, length),
  textAt: (pointer, offset) => new (ffi().CString)(pointer as unknown as BunPointer, offset).toString(),
  watchReading: (fd, events) => new FileWatch(fd, events),
  acceptor: (events) => new ServerAcceptor(events),
  isTaken,
});
