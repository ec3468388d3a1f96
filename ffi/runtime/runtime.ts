// What the library needs of the JavaScript runtime that it runs in. Nothing outside this folder names one.
//
// The functions that are bound to C are handed out as the runtime made them: a wrapper around one would cost the engine
// its fast calls, a third of what a lock of a cell takes.

declare const POINTER: unique symbol;

/** An address in this process, as the runtime hands it around. */
export interface Pointer {
  readonly [POINTER]: never;
}

/** Types of C, as the calls know them: `buffer` is an address that the runtime finds, of a typed array. */
export type NativeType = "i32" | "u32" | "i64" | "u64" | "usize" | "pointer" | "buffer";

/** One function of C. */
export interface FunctionSignature {
  /** Its name in the library, if that is another than it has here. */
  readonly name?: string;
  readonly parameters: readonly NativeType[];
  readonly result: NativeType;
}

/** The address of a function. */
export interface AddressSignature {
  readonly name?: string;
  readonly type: "pointer";
}

/** What is looked up in a library. */
export type Signatures = Readonly<Record<string, FunctionSignature | AddressSignature>>;

type Argument<T extends NativeType> = T extends "i32" | "u32" ? number
  : T extends "pointer" ? Pointer | null
  : T extends "buffer" ? ArrayBufferView<ArrayBuffer> | ArrayBuffer | null
  : bigint;

/** What a function of these parameters is called with. */
export type Arguments<P extends readonly NativeType[]> = { -readonly [I in keyof P]: Argument<P[I]> };

type Bound<S> = S extends FunctionSignature
  ? (...args: Arguments<S["parameters"]>) => S["result"] extends "i32" | "u32" ? number
    : S["result"] extends "pointer" | "buffer" ? Pointer | null
    : bigint
  : Pointer;

/** The functions and addresses that were looked up. */
export type Functions<S extends Signatures> = { readonly [K in keyof S]: Bound<S[K]> };

/** A descriptor that the event loop reads. */
export interface ReadWatch {
  /** Whether it keeps the process alive. */
  awaited(value: boolean): void;
  /** Closes the descriptor, in the runtime's own time. */
  close(): void;
}

/** What a {@linkcode ReadWatch} tells. */
export interface ReadEvents {
  /** Something was read, and thrown away. */
  readonly onReady: () => void;
  /** The other end is gone, or reading failed: {@linkcode onReady} is not called any more. */
  readonly onEnd: () => void;
  /** The runtime has closed the descriptor. */
  readonly onClosed: () => void;
}

/** A connection that the event loop has taken from a listening socket. */
export interface TakenConnection {
  /** Its descriptor, which is the runtime's; `undefined` where the runtime hides it. */
  readonly fd: number | undefined;
  /** Leaves it as it is: it keeps no process alive, and its errors are nobody's. */
  park(): void;
  /** Closes the runtime's descriptor. */
  drop(): void;
}

/** What a {@linkcode Acceptor} tells. */
export interface AcceptEvents {
  readonly onConnection: (connection: TakenConnection) => void;
  /** It fails after it came to listen. */
  readonly onError: (cause: unknown) => void;
  /** The runtime has closed the descriptor. */
  readonly onClosed: () => void;
}

/** A listening socket that the event loop accepts clients from. */
export interface Acceptor {
  /**
   * Begins with a descriptor, which is the runtime's from then on; to be tried again with another if this one is refused.
   *
   * @param settled Called once, after this call has returned: with `undefined` if it listens, else with why not.
   */
  listen(fd: number, settled: (refusal: unknown) => void): void;
  /** Whether it keeps the process alive. */
  awaited(value: boolean): void;
  /** Ends it. What the runtime has accepted and not reported yet is lost. */
  close(): void;
}

/** A timer of `setTimeout` or `setInterval`. */
export type Timer = ReturnType<typeof setTimeout>;

/** A class of errors. */
export type ErrorClass = new (message?: string, options?: ErrorOptions) => Error;

/** A JavaScript runtime. */
export interface Runtime {
  /** The operating system and the processor, as the tables of `ffi/libc/platform.ts` are named: "linux-x86_64". */
  readonly target: string;
  /** Id of this process. */
  readonly pid: number;
  /** Whether this isolate is a Worker, whose thread ends before the process does. */
  readonly isWorker: boolean;
  /** Whether the engine leaves plain loads of shared memory where they stand: V8 does. */
  readonly keepsLoads: boolean;
  /** Whether descriptors are read also while they keep no process alive: Bun reads only those that are awaited. */
  readonly readsUnawaited: boolean;
  /** Whether `Atomics.load()` needs memory that can be written: as compiled by JavaScriptCore it does. */
  readonly loadsWrite: boolean;

  /**
   * Looks functions up in a shared library, which stays loaded.
   *
   * @throws {IpcError} `Permission` if the runtime was not allowed to.
   * @throws {Error} If the library, or one of the functions, is not there.
   */
  bind<const S extends Signatures>(library: string, signatures: S): Functions<S>;
  /**
   * A function that is called on another thread, and keeps the process alive while it runs. What errno it left cannot be
   * told.
   */
  onAnotherThread<const P extends readonly NativeType[]>(
    address: Pointer,
    parameters: P,
  ): (...args: Arguments<P>) => Promise<number>;
  /** A pointer to an address; `null` for 0. */
  pointer(address: bigint): Pointer | null;
  /** The address of a pointer; 0 for `null`. */
  address(pointer: Pointer | null): bigint;
  /** Where the bytes of a buffer, or of a view on one, lie as long as it lives. */
  pointerTo(memory: ArrayBuffer | ArrayBufferView<ArrayBuffer>): Pointer;
  /** A buffer over memory of this process. It does not keep the memory. */
  memoryAt(pointer: Pointer, length: number): ArrayBuffer;
  /** The C string at some bytes from a pointer. */
  textAt(pointer: Pointer, offset: number): string;

  /** Classes of errors that the runtime has beside the standard's, by the names that programs know them by. */
  readonly errorClasses: readonly (readonly [name: string, type: ErrorClass])[];

  /** Has something done when this isolate learns that it ends, after what the program itself does then. */
  atExit(act: () => void): void;
  /** Whether a timer keeps the process alive. */
  timerAwaited(timer: Timer, value: boolean): void;

  /**
   * Has the event loop read a pipe or a stream socket.
   *
   * @param fd The runtime's from then on.
   * @returns `undefined` if this very number is refused: see {@linkcode Runtime.isTaken}.
   */
  watchReading(fd: number, events: ReadEvents): ReadWatch | undefined;
  /** A listening stream socket of the event loop, which does not listen yet. */
  acceptor(events: AcceptEvents): Acceptor;
  /**
   * Whether a descriptor was refused for its number. A runtime keeps a table of the numbers that its files have: one that
   * somebody else has closed is still in it.
   */
  isTaken(refusal: unknown): boolean;
}
