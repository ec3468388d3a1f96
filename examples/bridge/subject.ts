// Subjects of NATS, as they are given on the command line.
import { BridgeError } from "./log.ts";

/**
 * Checks a subject that is sent to.
 *
 * @throws {BridgeError} If it cannot be one.
 */
export function checkSubject(subject: string): string {
  if (/^[^\s.*>$]+(\.[^\s.*>]+)*$/.test(subject) && subject.length <= 200) return subject;
  throw new BridgeError(
    `Cannot use "${subject}" as a subject: it is words with "." between them, without spaces, "*" and ">", and no "$" first`,
  );
}
