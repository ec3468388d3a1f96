// The one error class of the package. Imports nothing.

/**
 * What went wrong, from a closed set that programs can switch on.
 *
 * - `Disconnected`: every peer on the other side is gone (closed or killed).
 * - `Timeout`: the `timeout` of a wait ran out.
 * - `Closed`: this endpoint was closed by this program.
 * - `TooLarge`: a value does not fit where it was to be put.
 * - `Serialization`: a value cannot be encoded, or bytes cannot be decoded.
 * - `Corrupt`: shared memory or a message breaks its own rules; a peer misbehaves.
 * - `Incompatible`: the other side has another format, version or layout.
 * - `NotFound`, `AlreadyExists`: a name does not exist, or is taken.
 * - `Deadlock`: the wait could never end.
 * - `Permission`: Deno or the operating system refuses.
 * - `Unsupported`: this platform lacks what is needed.
 * - `System`: a system call failed for another reason; see `errno` and `syscall`.
 *
 * @example Deciding by the code
 * ```ts
 * import { channel, IpcError, type IpcErrorCode } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const harmless = new Set<IpcErrorCode>(["Disconnected", "Timeout"]);
 *
 * const [sender, receiver] = channel<string>();
 * try {
 *   receiver.recvSync({ timeout: 5 });
 * } catch (error) {
 *   if (!(error instanceof IpcError) || !harmless.has(error.code)) throw error;
 *   assertEquals(error.code, "Timeout");
 * }
 * sender.close(), receiver.close();
 * ```
 */
export type IpcErrorCode =
  | "Disconnected"
  | "Timeout"
  | "Closed"
  | "TooLarge"
  | "Serialization"
  | "Corrupt"
  | "Incompatible"
  | "NotFound"
  | "AlreadyExists"
  | "Deadlock"
  | "Permission"
  | "Unsupported"
  | "System";

/**
 * Details that may accompany an {@linkcode IpcError}.
 *
 * @example An error with the one that it comes from
 * ```ts
 * import { IpcError, type IpcErrorOptions } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const options: IpcErrorOptions = { cause: new SyntaxError("unexpected end") };
 * const error = new IpcError("Serialization", "Cannot read the settings: they are cut off; write them again", options);
 * assertEquals([error.code, (error.cause as Error).name, error.errno], ["Serialization", "SyntaxError", undefined]);
 * ```
 */
export interface IpcErrorOptions {
  /** The error that this one wraps. */
  cause?: unknown;
  /** The error number (`errno`) of the failed system call. */
  errno?: number;
  /** The name of the failed system call. */
  syscall?: string;
  /** Of a call to another process: `false` if the other side has certainly not begun with it. */
  delivered?: boolean;
}

/**
 * Every failure of this package that is not a mistake in the calling code (those are `TypeError` and `RangeError`).
 *
 * @example Telling a closed peer from other failures
 * ```ts
 * import { channel, IpcError } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const [sender, receiver] = channel<string>();
 * receiver.close();
 * try {
 *   sender.sendSync("anybody there?");
 * } catch (error) {
 *   assertEquals(error instanceof IpcError && error.code, "Disconnected");
 * }
 * sender.close();
 * ```
 */
export class IpcError extends Error {
  /** What went wrong, from a closed set. */
  readonly code: IpcErrorCode;
  /** The error number (`errno`) of the system call that failed, if one did. */
  declare readonly errno?: number;
  /** The name of the system call that failed, if one did. */
  declare readonly syscall?: string;
  /**
   * Of a call by `remote()` alone: `false` if the other side has certainly not begun with it, so that calling again is
   * safe; `true` if it may have.
   */
  declare readonly delivered?: boolean;

  /**
   * Makes an error.
   *
   * @param code What went wrong.
   * @param message What was tried on what, what was found, and what to do.
   * @param options The cause, `errno` and system call, if any.
   */
  constructor(code: IpcErrorCode, message: string, options: IpcErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "IpcError";
    this.code = code;
    if (options.errno !== undefined) this.errno = options.errno;
    if (options.syscall !== undefined) this.syscall = options.syscall;
    if (options.delivered !== undefined) this.delivered = options.delivered;
  }
}
