// Removing a cell: by the last one out, when all its holders are dead, and by force.
import { step } from "../../base/step_hook.ts";
import { tryLockFile } from "../../ffi/file/file_lock.ts";
import { type FileStatus, isSameFile } from "../../ffi/file/file_status.ts";
import { closeForDeadThreads } from "../../ffi/file/presence.ts";
import { notRemoved, unlinkFile } from "../../ffi/file/unlink.ts";
import { removeBells } from "./bells.ts";
import { openCellFile } from "./cell_file.ts";
import { cellPath } from "./cell_name.ts";

/**
 * Removes a cell that nobody holds. The caller has its file alone.
 *
 * @returns 0, or why it is still there: the folder is sticky, so only its owner, and root, can remove a file.
 */
export function removeAlone(name: string, status: FileStatus): number {
  step("arc:remove:begin");
  removeBells(status.inode);
  step("arc:remove:bells");
  const path = cellPath(name);
  // Nobody can give the name another file between the look and the removal, but who removes it by force first.
  const failure = isSameFile(status, path) ? unlinkFile(path) : 0;
  step("arc:remove:done");
  return failure;
}

/**
 * Removes a cell if all its holders are dead, also another user's: its memory is not looked at.
 *
 * @returns Whether it was removed; `false` if it lives, or there is none.
 * @throws {IpcError} If it is dead, and cannot be removed.
 */
export function removeDead(name: string): boolean {
  const what = `Cannot remove the cell "${name}"`;
  const found = openCellFile(name, what);
  if (found === undefined) return false;
  const fd = found.fd;
  try {
    closeForDeadThreads(found.status);
    if (!tryLockFile(fd.fd, "alone")) return false;
    const failure = removeAlone(name, found.status);
    if (failure !== 0) throw notRemoved(what, "its file", found.status.uid, failure);
    return true;
  } finally {
    fd.close();
  }
}

/**
 * Removes the file of a cell, whatever holders it has.
 *
 * @returns `false` if there is none.
 * @throws {IpcError} `Incompatible` if the name belongs to something else; `Permission` if it cannot be removed.
 */
export function removeByForce(name: string): boolean {
  const what = `Cannot remove the cell "${name}"`;
  const found = openCellFile(name, what, "read");
  if (found === undefined) return false;
  const fd = found.fd;
  try {
    if (!fd.closed && !isSameFile(found.status, cellPath(name))) return false;
    const failure = unlinkFile(cellPath(name));
    if (failure !== 0) throw notRemoved(what, "its file", found.status.uid, failure);
    return true;
  } finally {
    fd.close();
  }
}
