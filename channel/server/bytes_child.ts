// A program that was started, and the conversation in byte strings with it.
import { printAs, stateOf } from "../../base/custom_inspect.ts";
import type { PeerCredentials } from "../../ffi/socket/socket_types.ts";
import { IpcBytesDuplex } from "../endpoint/bytes_duplex.ts";
import type { IpcBytesReceiver } from "../endpoint/bytes_receiver.ts";
import type { IpcBytesSender } from "../endpoint/bytes_sender.ts";
import type { StartedProgram } from "./started_program.ts";

/**
 * A program that {@linkcode spawn} has started with `bytes: true`, and this side's end of the conversation with it: as
 * {@linkcode IpcChild}, in byte strings.
 *
 * @example
 * ```ts ignore
 * import { spawn } from "@isthmus/ipc";
 *
 * await using child = await spawn(new URL("./resize.ts", import.meta.url), { bytes: true });
 * using loan = await child.reserve(1_000_000);
 * loan.bytes.fill(7);
 * loan.commit();
 * using answer = await child.borrow();
 * console.log(child.pid, answer.value.length);
 * ```
 */
export class IpcBytesChild extends IpcBytesDuplex implements AsyncDisposable {
  static {
    printAs<IpcBytesChild>(IpcBytesChild.prototype, (child) => ({
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
  constructor(program: unknown, sender: IpcBytesSender, receiver: IpcBytesReceiver, peer: PeerCredentials) {
    super(sender, receiver, peer);
    this.#program = program as StartedProgram;
  }

  /** The number of the process that was started. Who called `parent()` is {@linkcode IpcBytesDuplex.peer}. */
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
