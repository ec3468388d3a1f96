// What a command receives: printed message by message, until it is enough.
import { IpcError } from "../../base/error.ts";
import { jsonLine } from "../format/json_value.ts";
import { Output, ReaderGone } from "../format/output.ts";
import { counted, printable } from "../format/text.ts";
import { Refused } from "./command.ts";
import type { Format } from "./message_format.ts";
import { Interrupted } from "./stop.ts";

/** Prints so many messages; returns the exit code. */
export async function follow(count: number, next: () => Promise<void>): Promise<number> {
  let code = 0;
  for (let printed = 0; printed < count; printed++) {
    try {
      await next();
    } catch (error) {
      if (error instanceof ReaderGone) return code;
      if (isError(error, "Serialization")) {
        tell(`Message ${printed + 1}: ${error.message}`);
        code = 1;
      } else if (isError(error, "Timeout") || error instanceof Interrupted) {
        // Without a number of messages to wait for, these are how it is meant to end.
        if (count === Infinity) return code;
        throw new Refused(`${error.message}, after ${printed} of ${counted(count, "message")}`);
      } else throw error;
    }
  }
  return code;
}

function isError(error: unknown, code: IpcError["code"]): error is IpcError {
  return error instanceof IpcError && error.code === code;
}

/** Tells of something that does not end the program. */
export function tell(text: string): void {
  const errors = new Output(Deno.stderr);
  try {
    errors.line(`${errors.paint("red", "isthmus:")} ${text}`);
  } catch (error) {
    if (!(error instanceof ReaderGone)) throw error; // who does not want to hear of it need not
  }
}

/** What is written for a message. */
export function writerOf(format: Format, out: Output): (message: unknown) => Uint8Array {
  if (format === "raw") return (message) => message as Uint8Array;
  const encoder = new TextEncoder();
  const shown = out.terminal ? printable : (text: string) => text;
  return (message) =>
    encoder.encode(`${shown(format === "text" && typeof message === "string" ? message : jsonLine(message))}\n`);
}
