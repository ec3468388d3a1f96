// Removing files, with the result looked at.
import { IpcError } from "../../base/error.ts";
import { cString, libc, systemError } from "../libc/libc.ts";
import { ENOENT } from "../libc/platform.ts";
import { userText } from "./trust.ts";

/**
 * Removes a file.
 *
 * @returns 0 if there is none at the path now, else what {@linkcode notRemoved} takes.
 */
export function unlinkFile(path: string): number {
  const { c, errnoCell } = libc();
  const name = cString(path);
  if (c.unlink(name) === 0) return 0;
  const errno = errnoCell[0]!;
  return errno === ENOENT ? 0 : errno;
}

/**
 * The error for a file that could not be removed.
 *
 * @param what Begins the message.
 * @param subject What is said of the owner: "its file", "it".
 * @param uid Whose file it is.
 * @param failure What {@linkcode unlinkFile} returned.
 */
export function notRemoved(what: string, subject: string, uid: number, failure: number): IpcError {
  const failed = systemError(what, "unlink", failure);
  return new IpcError(failed.code, `${failed.message}; ${subject} belongs to ${userText(uid)}, who can remove it`, {
    errno: failure,
    syscall: "unlink",
  });
}
