// The child's side of spawn().
import { asFound, optionsOf } from "../../base/arguments.ts";
import { IpcError } from "../../base/error.ts";
import { step } from "../../base/step_hook.ts";
import { environmentVariable } from "../../ffi/process/environment.ts";
import { IpcBytesDuplex } from "../endpoint/bytes_duplex.ts";
import { bytesReceiverFrom } from "../endpoint/bytes_receiver.ts";
import { bytesSenderFrom } from "../endpoint/bytes_sender.ts";
import { IpcDuplex } from "../endpoint/duplex.ts";
import { connectDuplex } from "../endpoint/handshake.ts";
import { MANY } from "../endpoint/server_kind.ts";
import { receiverFrom } from "../endpoint/receiver.ts";
import { senderFrom } from "../endpoint/sender.ts";
import { PARENT_VARIABLE, parseParentName } from "./parent_name.ts";

let known: IpcDuplex<unknown, unknown> | IpcBytesDuplex | undefined;

/**
 * The conversation with the program that started this one by {@linkcode spawn}. To be called early: the parent waits for
 * it. Later calls return the same object.
 *
 * There is one conversation a program: where several isolates call this, the first has it. Needs `--allow-ffi` alone.
 *
 * @typeParam Out What this program sends.
 * @typeParam In What it receives.
 * @param options That the conversation is one of values, which it is by default.
 * @returns This program's end. It is at its end (`Disconnected`) when the parent closes it, or dies.
 * @throws {IpcError} `NotFound` if this program was not started by `spawn()`, or its parent does not wait for it any more:
 * it has given up, has ended, or another process or isolate has the conversation already; `Incompatible` if the parent
 * wants the other kind of conversation.
 *
 * @example A program that answers its parent
 * ```ts ignore
 * import { parent } from "@isthmus/ipc";
 *
 * using line = parent<number, string>();
 * await line.run((text) => text.length); // until the parent closes the conversation
 * ```
 *
 * @example Without a parent
 * ```ts
 * import { IpcError, parent } from "@isthmus/ipc";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const error = assertThrows(() => parent(), IpcError);
 * assertEquals(error.code, "NotFound");
 * ```
 */
export function parent<Out, In>(options?: { readonly bytes?: false }): IpcDuplex<Out, In>;
/**
 * The same for a conversation in byte strings, for which the parent has called `spawn()` with `bytes: true`.
 *
 * @param options With `bytes: true`.
 * @returns This program's end.
 * @throws {IpcError} As for values: `NotFound`, `Incompatible`.
 *
 * @example A program that answers its parent
 * ```ts ignore
 * import { parent } from "@isthmus/ipc";
 *
 * using line = parent({ bytes: true });
 * await line.run((bytes) => bytes.toReversed()); // until the parent closes the conversation
 * ```
 */
export function parent(options: { readonly bytes: true }): IpcBytesDuplex;
export function parent(options: { readonly bytes?: boolean } = {}): IpcDuplex<unknown, unknown> | IpcBytesDuplex {
  const { bytes = false } = optionsOf(options, "Cannot find the parent");
  if (typeof bytes !== "boolean") {
    throw new TypeError(`Cannot find the parent with the option "bytes" ${asFound(bytes)}: it must be true or false`);
  }
  if (known === undefined) known = connect(bytes);
  else if (bytes !== known instanceof IpcBytesDuplex) throw otherKind(!bytes);
  return known;
}

function otherKind(wantsBytes: boolean): IpcError {
  return new IpcError(
    "Incompatible",
    wantsBytes
      ? "Cannot talk to the parent in values: it has called spawn() with { bytes: true }; call parent({ bytes: true })"
      : "Cannot talk to the parent in bytes: it has called spawn() without { bytes: true }; call parent()",
  );
}

function connect(bytes: boolean): IpcDuplex<unknown, unknown> | IpcBytesDuplex {
  const text = environmentVariable(PARENT_VARIABLE);
  if (text === undefined) {
    throw new IpcError(
      "NotFound",
      `Cannot find the parent: nobody started this program by spawn(), as ${PARENT_VARIABLE} is not set`,
    );
  }
  const name = parseParentName(text);
  if (name === undefined) {
    throw new IpcError(
      "NotFound",
      `Cannot find the parent: ${PARENT_VARIABLE} holds something else than what spawn() sets; do not set it yourself`,
    );
  }
  if (name.bytes !== bytes) throw otherKind(name.bytes);
  step("parent-looked-up");
  try {
    const [port, ring] = connectDuplex(name.server, name.capacity, MANY, name.token);
    step("parent-told");
    if (bytes) return new IpcBytesDuplex(bytesSenderFrom(port), bytesReceiverFrom(ring));
    return new IpcDuplex(senderFrom<unknown>(port), receiverFrom<unknown>(ring));
  } catch (cause) {
    if (!(cause instanceof IpcError) || cause.code !== "NotFound") throw cause;
    throw new IpcError(
      "NotFound",
      "Cannot find the parent: it does not wait for this program (any more); it has given up or ended, or another " +
        "process or isolate called parent() first",
      { cause },
    );
  }
}
