// The file of a cell, looked at before anything of it is relied on: what it is, and every number of its header.
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import type { FileStatus } from "../../ffi/file/file_status.ts";
import { openRegularFile } from "../../ffi/file/named_file.ts";
import type { Access } from "../../ffi/file/open.ts";
import { readWordsAt } from "../../ffi/file/read_at.ts";
import { mutexMark } from "../../ffi/memory/robust_mutex.ts";
import { cellPath } from "./cell_name.ts";
import {
  BELL_TABLE,
  BUFFER_OFFSET,
  BUFFER_STRIDE,
  CAPACITY,
  FORMAT_VERSION,
  KIND,
  KIND_POD,
  MAGIC,
  MUTEX_MARK,
  SIZE_HIGH,
  SIZE_LOW,
  VALUES_OFFSET,
  VERSION,
} from "./header.ts";

/**
 * Opens the file of a cell without holding it; `undefined` if there is none.
 *
 * @param access "read" for looking at it alone.
 */
export function openCellFile(
  name: string,
  what: string,
  access: Access = "read-write",
): { fd: IpcFd; status: FileStatus } | undefined {
  const path = cellPath(name);
  const found = openRegularFile(path, access, what);
  if (found === "nothing") return undefined;
  if (found === "another kind") throw notACell(what, path, "not a regular file");
  const { fd, status } = found;
  try {
    if (status.size === 0) throw cutShort(what, path, 0);
    if (!hasMagic(readHeader(fd.fd))) throw notACell(what, path, "a file of another kind");
    return found;
  } catch (error) {
    fd.close();
    throw error;
  }
}

function notACell(what: string, path: string, found: string): IpcError {
  return new IpcError("Incompatible", `${what}: ${path} is ${found}, not a cell; use another name, or remove it`);
}

function cutShort(what: string, path: string, size: number): IpcError {
  return new IpcError("Corrupt", `${what}: ${path} was cut short to ${size} bytes; remove it`);
}

/** The words before the table of bells, zeros where the file is shorter. Read, not mapped: a short file is no fault. */
export function readHeader(fd: number): Int32Array<ArrayBuffer> {
  return readWordsAt(fd, 0, BELL_TABLE);
}

function hasMagic(header: Int32Array): boolean {
  const bytes = new Uint8Array(header.buffer, 0, MAGIC.length);
  return MAGIC.every((byte, i) => bytes[i] === byte);
}

/** Checks every number of a header that anything relies on, before the segment is mapped. */
export function checkHeader(fd: number, status: FileStatus, what: string): void {
  const header = readHeader(fd);
  const version = header[VERSION]!;
  if (version !== FORMAT_VERSION) {
    throw new IpcError(
      "Incompatible",
      `${what}: it has format ${version}, and this version of the library knows format ${FORMAT_VERSION}; use the same ` +
        "version in all programs that share it",
    );
  }
  const mark = header[MUTEX_MARK]!;
  if (mark !== mutexMark()) {
    const found = mark === 0
      ? "an older version of the library has made it, with another kind of lock; end its programs, or use one version"
      : `its lock is that of another C library or processor (mark ${mark}, and here it is ${mutexMark()}), which would ` +
        "keep nobody apart; share cells among programs that use glibc";
    throw new IpcError("Incompatible", `${what}: ${found}`);
  }
  const size = (header[SIZE_LOW]! >>> 0) + (header[SIZE_HIGH]! >>> 0) * 2 ** 32;
  if (status.size < size) throw cutShort(what, `its file of ${size} bytes`, status.size);
  const offset = header[BUFFER_OFFSET]!, stride = header[BUFFER_STRIDE]!, capacity = header[CAPACITY]!;
  const kind = header[KIND]!;
  const fits = status.size === size && kind >= 0 && kind <= KIND_POD && capacity > 0 && offset >= VALUES_OFFSET &&
    offset % 64 === 0 &&
    (stride === 0 ? kind === KIND_POD && capacity <= 8 : stride >= capacity && stride % 64 === 0) &&
    offset + stride + capacity <= size;
  if (!fits) {
    throw new IpcError("Corrupt", `${what}: the numbers in its header contradict one another; remove it`);
  }
}
