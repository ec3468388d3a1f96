// A program that was started, and the conversation with it.
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import { type ChildProcess, within } from "../../ffi/runtime/child_process.ts";
import { IpcDuplex } from "../endpoint/duplex.ts";
import type { Arrival } from "./child_door.ts";

/** Milliseconds that a program has to end after SIGTERM. */
const TERM_PATIENCE = 1000;

/**
 * A program that {@linkcode spawn} has started, and this side's end of the conversation with it.
 *
 * The program's death is the end of the conversation: what it had sent is still received, then every wait ends with
 * `Disconnected`. `await using` ends the program: the conversation is closed, then the program has two seconds (see
 * `SpawnOptions.grace`) to end by itself, then it gets SIGTERM, and a second later SIGKILL; the scope is left when it has
 * ended. `using` does the same without waiting for it. {@linkcode IpcDuplex.close} closes the conversation only.
 *
 * A child does not keep this process alive, and does not end with it: it learns by `Disconnected`.
 *
 * @typeParam Out What this side sends.
 * @typeParam In What the program sends.
 *
 * @example
 * ```ts ignore
 * import { spawn } from "@isthmus/ipc";
 *
 * await using child = await spawn<string, number>(new URL("./lengths.ts", import.meta.url));
 * await child.send("hello");
 * console.log(child.pid, await child.recv());
 * ```
 */
export class IpcChild<in Out, out In> extends IpcDuplex<Out, In> implements AsyncDisposable {
  static {
    printAs<IpcChild<unknown, unknown>>(IpcChild.prototype, (child) => ({
      pid: child.pid,
      state: stateOf(child),
      program: child.#process.ended ? "ended" : "running",
    }));
  }

  readonly #process: ChildProcess;
  readonly #grace: number;

  /**
   * Not for programs: use {@linkcode spawn}.
   *
   * @param process The program.
   * @param arrival What it has brought.
   * @param grace Milliseconds that it has to end by itself.
   */
  constructor(process: unknown, arrival: unknown, grace: number) {
    const { sender, receiver, peer } = arrival as Arrival<Out, In>;
    super(sender, receiver, peer);
    this.#process = process as ChildProcess;
    this.#grace = grace;
  }

  /** The number of the process that was started. Who called `parent()` is {@linkcode IpcDuplex.peer}. */
  get pid(): number {
    return this.#process.pid;
  }

  /**
   * How the program ended, once it has: `{ success, code, signal }`. Who asks for it keeps this process alive until then.
   */
  get status(): Promise<Deno.CommandStatus> {
    this.#process.keepAlive();
    return this.#process.status;
  }

  /**
   * What the program reads.
   *
   * @throws {TypeError} Unless the option `stdin` was "piped".
   */
  get stdin(): WritableStream<Uint8Array<ArrayBuffer>> {
    return this.#process.stdin;
  }

  /**
   * What the program writes.
   *
   * @throws {TypeError} Unless the option `stdout` was "piped".
   */
  get stdout(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#process.stdout;
  }

  /**
   * What the program writes to its standard error.
   *
   * @throws {TypeError} Unless the option `stderr` was "piped".
   */
  get stderr(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#process.stderr;
  }

  /**
   * Sends the program a signal. Nothing is done if it has ended.
   *
   * @param signal The signal. `SIGTERM` by default.
   * @throws {TypeError} If there is no such signal.
   */
  kill(signal: Deno.Signal = "SIGTERM"): void {
    this.#process.kill(signal);
  }

  /** Closes the conversation and ends the program, without waiting for that: see {@linkcode IpcChild}. */
  override [Symbol.dispose](): void {
    this.close();
    endProgram(this.#process, this.#grace, false).then(() => closeOutput(this.#process), () => {});
  }

  /**
   * Closes the conversation and ends the program, and waits until it has ended: see {@linkcode IpcChild}.
   *
   * @throws {IpcError} `Permission` if it runs as another user and cannot be ended.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await endProgram(this.#process, this.#grace, true);
    closeOutput(this.#process);
  }
}

/**
 * Ends a program: gives it time, then sends SIGTERM, then SIGKILL.
 *
 * @param grace Milliseconds before SIGTERM.
 * @param awaited Whether this process stays alive for it.
 */
export async function endProgram(process: ChildProcess, grace: number, awaited: boolean): Promise<void> {
  if (awaited) process.keepAlive();
  closeStream(process, "stdin");
  if (!process.ended && !(grace > 0 && await within(grace, process.status, awaited))) {
    process.kill("SIGTERM");
    if (!await within(TERM_PATIENCE, process.status, awaited)) process.kill("SIGKILL");
  }
  await process.status;
}

/** What a program has written is not read any more. */
export function closeOutput(process: ChildProcess): void {
  closeStream(process, "stdout");
  closeStream(process, "stderr");
}

/** Closes a stream of a program, unless it is not piped, or somebody is at it. */
function closeStream(process: ChildProcess, name: "stdin" | "stdout" | "stderr"): void {
  let stream: WritableStream | ReadableStream;
  try {
    stream = process[name];
  } catch {
    return; // not piped
  }
  if (stream.locked) return;
  const closing = "cancel" in stream ? stream.cancel() : stream.close();
  closing.catch(() => {}); // it was closed, or the program has ended
}
