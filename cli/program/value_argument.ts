// Values on the command line: one rule for all commands. A value is JSON, with the words of json_value.ts for what JSON
// lacks. Only where a message is meant, a text that is not JSON may stand for itself, as most messages are texts; but not
// one that begins as JSON does, which is nearly always a mistake in it.
import { Refused } from "./command.ts";
import { valueOfJson } from "../format/json_value.ts";

/**
 * The value that an argument in JSON stands for.
 *
 * @throws {IpcError} `Serialization` if it is not JSON.
 */
export function valueOfArgument(text: string): unknown {
  try {
    return valueOfJson(text);
  } catch (error) {
    if (!/^[\w./-]+$/.test(text)) throw error;
    throw new Refused(`${(error as Error).message}; a text is written '"${text}"'`);
  }
}

/**
 * The message that an argument stands for: the value in JSON, else the text itself.
 *
 * @throws {IpcError} `Serialization` if it begins as JSON does, and is not JSON.
 */
export function messageOfArgument(text: string): unknown {
  try {
    return valueOfJson(text);
  } catch (error) {
    if (/^\s*[[{"]/.test(text)) throw error;
    return text;
  }
}
