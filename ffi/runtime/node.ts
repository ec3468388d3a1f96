// Node.js, as the library sees it: `node:ffi`, which Node.js has from 26.1 on.
import process from "node:process";
import { IpcError } from "../../base/error.ts";
import { nodeProcess } from "./node_process.ts";
import { callByWorker } from "./other_thread.ts";
import type { Arguments, Functions, NativeType, Pointer, Runtime, Signatures } from "./runtime.ts";
import { isTaken, ServerAcceptor, watchBySocket } from "./sockets.ts";

/** What is used of `node:ffi`. Pointers are bigints, and that to nothing is 0. */
interface Ffi {
  dlopen(library: string): {
    readonly lib: {
      getFunction(name: string, signature: unknown): (...args: unknown[]) => unknown;
      getSymbol(name: string): bigint;
    };
  };
  toArrayBuffer(pointer: bigint, length: number, copy: boolean): ArrayBuffer;
  toString(pointer: bigint): string;
  getRawPointer(memory: ArrayBuffer): bigint;
}

/** Node.js's names of the types. */
const TYPES: Record<NativeType, string> = {
  i32: "int32",
  u32: "uint32",
  i64: "int64",
  u64: "uint64",
  usize: "uint64",
  pointer: "pointer",
  buffer: "buffer",
};

let loaded: Ffi | undefined;

function ffi(): Ffi {
  return loaded ??= load();
}

function load(): Ffi {
  // Not imported: Deno would look for it, and Node.js without it fail before anybody could say why.
  let found: unknown;
  let cause: unknown;
  try {
    found = process.getBuiltinModule?.("node:ffi");
  } catch (error) {
    cause = error;
  }
  if (found !== undefined) return found as Ffi;
  const [major = 0, minor = 0] = (process.versions.node ?? "0").split(".").map(Number);
  const has = major > 26 || (major === 26 && minor >= 1);
  const advice = has ? "run again with --experimental-ffi" : "Node.js 26.1 or later is needed, best 26.10";
  throw new IpcError("Unsupported", `Cannot call C: Node.js ${process.version} has no node:ffi here; ${advice}`, {
    cause,
  });
}

/** Symbols by their addresses: another thread looks them up by name. */
const names = new Map<Pointer, { readonly library: string; readonly name: string }>();

/** Libraries stay loaded. */
const kept: unknown[] = [];

function bind<const S extends Signatures>(library: string, signatures: S): Functions<S> {
  let lib;
  try {
    ({ lib } = ffi().dlopen(library));
  } catch (cause) {
    if ((cause as { code?: string }).code !== "ERR_ACCESS_DENIED") throw cause;
    throw new IpcError("Permission", `Cannot open "${library}": run again with --allow-ffi`, { cause });
  }
  const functions: Record<string, unknown> = {};
  for (const [key, signature] of Object.entries(signatures)) {
    const name = signature.name ?? key;
    if (!("parameters" in signature)) {
      const address = lib.getSymbol(name) as unknown as Pointer;
      names.set(address, { library, name });
      functions[key] = address;
      continue;
    }
    // A library of its own for a function of two signatures: one knows it by one only.
    const owner = signature.name === undefined ? lib : ffi().dlopen(library).lib;
    kept.push(owner);
    const call = owner.getFunction(name, {
      arguments: signature.parameters.map((type) => TYPES[type]),
      return: TYPES[signature.result],
    });
    functions[key] = signature.result === "pointer" ? (...args: unknown[]) => call(...args) || null : call;
  }
  return functions as Functions<S>;
}

function onAnotherThread<const P extends readonly NativeType[]>(
  address: Pointer,
  parameters: P,
): (...args: Arguments<P>) => Promise<number> {
  const data = { ...names.get(address)!, parameters: parameters.map((type) => TYPES[type]) };
  const define = `
const { library, name, parameters } = require("node:worker_threads").workerData;
const { functions } = process.getBuiltinModule("node:ffi").dlopen(library, { [name]: { arguments: parameters, return: "int32" } });
const call = functions[name];
`;
  return callByWorker(define, data) as (...args: Arguments<P>) => Promise<number>;
}

/** Node.js 26.1 and later. */
export const nodeRuntime = (): Runtime => ({
  ...nodeProcess(),
  keepsLoads: true,
  readsUnawaited: true,
  loadsWrite: false,
  bind,
  onAnotherThread,
  pointer: (address) => (address === 0n ? null : address as unknown as Pointer),
  address: (pointer) => (pointer === null ? 0n : pointer as unknown as bigint),
  pointerTo(memory) {
    // The buffer first: a small view has none, and moves, until it is asked for.
    const whole = memory instanceof ArrayBuffer ? memory : memory.buffer;
    const offset = memory instanceof ArrayBuffer ? 0 : memory.byteOffset;
    return (ffi().getRawPointer(whole) + BigInt(offset)) as unknown as Pointer;
  },
  memoryAt: (pointer, length) => ffi().toArrayBuffer(pointer as unknown as bigint, length, false),
  textAt: (pointer, offset) => ffi().toString((pointer as unknown as bigint) + BigInt(offset)),
  watchReading: watchBySocket,
  acceptor: (events) => new ServerAcceptor(events),
  isTaken,
});
