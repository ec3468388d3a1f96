// What a command sends: the values on the command line, or what it reads.
import { IpcError } from "../../base/error.ts";
import { valueOfJson } from "../format/json_value.ts";
import { counted } from "../format/text.ts";
import { Refused } from "./command.ts";
import type { Format } from "./message_format.ts";
import { inputPieces, linesOf } from "./standard_input.ts";
import { Interrupted, type Stop } from "./stop.ts";
import { messageOfArgument } from "./value_argument.ts";

/** Bytes read at a time. */
export const PIECE = 65_536;

/** JSON may be longer than the CBOR that it becomes: by an escaped letter of six for one, and by blanks. */
const JSON_PER_CBOR = 8;

/** Sends one message. */
export type Put = (value: unknown) => Promise<void>;

/** Sends values, one after another. */
export async function sendAll(values: readonly unknown[], put: Put): Promise<void> {
  for (const [i, value] of values.entries()) {
    try {
      await put(value);
    } catch (error) {
      throw at(`Value ${i + 1}`, i, error);
    }
  }
}

/**
 * Sends what is read, line by line, or as it is.
 *
 * @param capacity Bytes of the largest message.
 */
export async function sendInput(format: Format, capacity: number, stop: Stop, put: Put): Promise<void> {
  const pieces = inputPieces(Math.min(PIECE, capacity), stop);
  const messages = format === "raw" ? pieces : linesOf(pieces, capacity * (format === "json" ? JSON_PER_CBOR : 1));
  const read = readerOf(format);
  let sent = 0;
  for (let number = 1;; number++) {
    try {
      const { done, value } = await messages.next();
      if (done) return;
      const message = read(value);
      if (message === undefined) continue;
      await put(message[0]);
      sent++;
    } catch (error) {
      throw at(format === "raw" ? `Piece ${number}` : `Line ${number}`, sent, error);
    }
  }
}

/** Makes a message of what was read, in an array of one; an empty array for a line that is not a message. */
function readerOf(format: Format): (bytes: Uint8Array) => [unknown] | undefined {
  if (format === "raw") return (bytes) => [bytes];
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  return (bytes) => {
    let text: string;
    try {
      text = decoder.decode(bytes);
    } catch (cause) {
      throw new IpcError("Serialization", "it is not UTF-8; --raw sends bytes as they are", { cause });
    }
    if (format === "json" && text.trim() === "") return undefined;
    return [valueOfText(format, text)];
  };
}

function valueOfText(format: Format, text: string): unknown {
  if (format === "raw") return new TextEncoder().encode(text);
  return format === "json" ? valueOfJson(text) : text;
}

/** A value that stands on the command line. */
export function valueGiven(format: Format, text: string, index: number): unknown {
  if (format !== "text") return valueOfText(format, text);
  try {
    return messageOfArgument(text);
  } catch (error) {
    throw at(`Value ${index + 1}`, 0, error);
  }
}

/** An error with the place where it happened, and with what is not undone by it. */
function at(place: string, sent: number, error: unknown): unknown {
  if (error instanceof Interrupted) return new Refused(`${error.message}; ${counted(sent, "message")} sent`);
  if (!(error instanceof IpcError)) return error;
  return new IpcError(error.code, `${place}: ${error.message}; ${counted(sent, "message")} sent before it`, {
    cause: error,
  });
}
