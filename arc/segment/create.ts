// Making a cell: whole before it has its name, and held before it can be found.
import { IpcError } from "../../base/error.ts";
import { step } from "../../base/step_hook.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { tryLockFile } from "../../ffi/file/file_lock.ts";
import { type FileStatus, fileStatus, isSameFile } from "../../ffi/file/file_status.ts";
import { allocateShared, createUnnamed, publish, setMode, SHARED_FOLDER } from "../../ffi/file/named_file.ts";
import { type Trusted, userText } from "../../ffi/file/trust.ts";
import type { Mapping } from "../../ffi/memory/mapping.ts";
import { cellPath } from "./cell_name.ts";
import { ATTEMPTS, find, mapApart, SegmentFile } from "./file.ts";
import { MAGIC } from "./header.ts";

/** How a new segment is written into memory that is zeros but for the magic. */
export type Fill = (mapping: Mapping) => void;

/**
 * Makes a cell: in a file without a name, which gets its name when all of it is there.
 *
 * @param fill Writes the segment.
 * @returns The attachment and its memory, or `undefined` if a living cell has the name.
 * @throws {IpcError} `Incompatible` if something that is not a cell has the name, `Permission` if it is somebody else's.
 */
export function createSegment(
  name: string,
  size: number,
  mode: number,
  trusted: Trusted,
  fill: Fill,
): { file: SegmentFile; mapping: Mapping } | undefined {
  const path = cellPath(name);
  const what = `Cannot create the cell "${name}"`;
  const fd = createUnnamed(SHARED_FOLDER, `${what} in ${SHARED_FOLDER}`);
  let mapping: Mapping | undefined;
  try {
    step("arc:create:file");
    allocateShared(fd.fd, size, what);
    step("arc:create:allocated");
    trusted.give(fd.fd, what);
    setMode(fd.fd, mode, what);
    mapping = mapApart(fd.fd, size, what);
    fill(mapping);
    step("arc:create:filled");
    // Held before it can be found, so that nobody takes it for a dead one.
    if (!tryLockFile(fd.fd, "shared")) throw new IpcError("System", `${what}: its new file is locked already`);
    const file = new SegmentFile(name, fd, fileStatus(fd.fd)!, trusted);
    file.join();
    step("arc:create:held");
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (publish(fd.fd, path, what)) {
        step("arc:create:linked");
        return { file, mapping };
      }
      const found = find(name, what, trusted);
      if (found === undefined) continue; // it was dead, and is removed now
      if (found.living === undefined) {
        const again = reuse(name, found.dead, found.status, size, trusted, fill);
        if (again === undefined) continue; // another was faster
        fd.close();
        mapping.unmap();
        return again;
      }
      found.living.leave();
      fd.close();
      mapping.unmap();
      return undefined;
    }
    throw new IpcError("Timeout", `${what}: others create and remove it all the time`);
  } catch (error) {
    fd.close();
    mapping?.unmap();
    throw error;
  }
}

/**
 * Makes a cell in the file of a dead one that cannot be removed, as it is another user's. It is held alone meanwhile:
 * nobody takes it for a living one before it is whole, and if this process dies it is a dead one again.
 *
 * @param fd Held alone; closed if it cannot be used.
 */
function reuse(
  name: string,
  fd: IpcFd,
  status: FileStatus,
  size: number,
  trusted: Trusted,
  fill: Fill,
): { file: SegmentFile; mapping: Mapping } | undefined {
  const what = `Cannot create the cell "${name}" in the file that ${userText(status.uid)} left`;
  let mapping: Mapping | undefined;
  try {
    step("arc:reuse:begin");
    // Never smaller: a program that does not hold it may still have it mapped.
    const length = Math.max(size, status.size);
    allocateShared(fd.fd, length, what);
    mapping = mapApart(fd.fd, length, what);
    new Uint8Array(mapping.buffer).fill(0, MAGIC.length);
    step("arc:reuse:zeroed");
    fill(mapping);
    step("arc:reuse:filled");
    // From alone to shared is not one step: somebody may find it dead in between.
    if (tryLockFile(fd.fd, "shared") && isSameFile(status, cellPath(name))) {
      const file = new SegmentFile(name, fd, fileStatus(fd.fd)!, trusted);
      file.join();
      return { file, mapping };
    }
  } catch (error) {
    fd.close();
    mapping?.unmap();
    throw error;
  }
  fd.close();
  mapping.unmap();
  return undefined;
}
