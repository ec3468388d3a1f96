// What an operand names: one rule for all commands. With a slash it is the path of a channel, or of a folder ("." and ".."
// are paths as well); without one it is the name of a cell.
import { checkCellName } from "../../arc/inspect/mod.ts";
import { checkPath, topicPath } from "../../channel/inspect.ts";
import { SHARED_FOLDER } from "../../ffi/inspect.ts";
import { UsageError } from "./command.ts";
import { printable } from "../format/text.ts";

/** Whether an operand is a path. */
export function isPath(operand: string): boolean {
  return operand.includes("/") || operand === "." || operand === "..";
}

/**
 * Checks an operand that is the name of a cell, or the path of a channel.
 *
 * @throws {UsageError} If it can be neither.
 */
export function checkName(operand: string): string {
  if (operand === "") throw new UsageError('"" names nothing: give the name of a cell, or the path of a channel');
  try {
    if (isPath(operand)) checkPath(operand);
    else checkCellName(operand);
    return operand;
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message);
    throw error;
  }
}

/**
 * Checks an operand that must be a path.
 *
 * @param what What lies there: "a channel", "a folder".
 * @throws {UsageError} If it cannot be one.
 */
export function checkIsPath(operand: string, what: string): string {
  if (operand !== "" && isPath(operand)) return operand;
  const shown = printable(operand);
  const hint = operand === "" || operand.startsWith("@") ? "" : `, as in "./${shown}" or "${SHARED_FOLDER}/${shown}"`;
  throw new UsageError(`"${shown}" is not a path: the path of ${what} has a slash${hint}`);
}

/** Checks an operand that must be the path of a channel. */
export function checkChannel(operand: string): string {
  return checkName(checkIsPath(operand, "a channel"));
}

/** Checks an operand that must be the name of a topic, or the path of its file. */
export function checkTopic(operand: string): string {
  try {
    topicPath(operand);
    return operand;
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message);
    throw error;
  }
}
