// A program that was started, and the conversation with it.
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import type { PeerCredentials } from "../../ffi/socket/socket_types.ts";
import { IpcDuplex } from "../endpoint/duplex.ts";
import type { IpcReceiver } from "../endpoint/receiver.ts";
import type { IpcSender } from "../endpoint/sender.ts";
import type { StartedProgram } from "./started_program.ts";

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
      program: child.#program.ended ? "ended" : "running",
    }));
  }

  readonly #program: StartedProgram;

  /**
   * Not for programs: use {@linkcode spawn}.
   *
   * @param program The program.
   * @param sender What goes out.
   * @param receiver What comes in.
   * @param peer Who has called `parent()`.
   */
  constructor(program: unknown, sender: IpcSender<Out>, receiver: IpcReceiver<In>, peer: PeerCredentials) {
    super(sender, receiver, peer);
    this.#program = program as StartedProgram;
  }

  /** The number of the process that was started. Who called `parent()` is {@linkcode IpcDuplex.peer}. */
  get pid(): number {
    return this.#program.pid;
  }

  /**
   * How the program ended, once it has: `{ success, code, signal }`. Who asks for it keeps this process alive until then.
   */
  get status(): Promise<Deno.CommandStatus> {
    return this.#program.status;
  }

  /**
   * What the program reads.
   *
   * @throws {TypeError} Unless the option `stdin` was "piped".
   */
  get stdin(): WritableStream<Uint8Array<ArrayBuffer>> {
    return this.#program.stdin;
  }

  /**
   * What the program writes.
   *
   * @throws {TypeError} Unless the option `stdout` was "piped".
   */
  get stdout(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#program.stdout;
  }

  /**
   * What the program writes to its standard error.
   *
   * @throws {TypeError} Unless the option `stderr` was "piped".
   */
  get stderr(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return this.#program.stderr;
  }

  /**
   * Sends the program a signal. Nothing is done if it has ended.
   *
   * @param signal The signal. `SIGTERM` by default.
   * @throws {TypeError} If there is no such signal.
   */
  kill(signal: Deno.Signal = "SIGTERM"): void {
    this.#program.kill(signal);
  }

  /** Closes the conversation and ends the program, without waiting for that: see {@linkcode IpcChild}. */
  override [Symbol.dispose](): void {
    this.close();
    this.#program.end(false).catch(() => {}); // it runs as another user
  }

  /**
   * Closes the conversation and ends the program, and waits until it has ended: see {@linkcode IpcChild}.
   *
   * @throws {IpcError} `Permission` if it runs as another user and cannot be ended.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#program.end(true);
  }
}
