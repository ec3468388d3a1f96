// The file of a lock: made whole, kept as long as somebody has it open or a death has not been told, removed by the last
// one out.
import { IpcError } from "../../base/error.ts";
import { step } from "../../base/step_hook.ts";
import { pauseSync } from "../../ffi/event/pause.ts";
import { listDirectory } from "../../ffi/file/directory.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { tryLockFile } from "../../ffi/file/file_lock.ts";
import { type FileStatus, fileStatus, isSameFile } from "../../ffi/file/file_status.ts";
import {
  allocateShared,
  createUnnamed,
  openRegularFile,
  publish,
  setMode,
  SHARED_FOLDER,
} from "../../ffi/file/named_file.ts";
import { reopen } from "../../ffi/file/open.ts";
import { readWordsAt } from "../../ffi/file/read_at.ts";
import { Trusted } from "../../ffi/file/trust.ts";
import { unlinkFile } from "../../ffi/file/unlink.ts";
import { Mapping } from "../../ffi/memory/mapping.ts";
import {
  FORMAT_VERSION,
  HELD,
  LOCK_FILE_SIZE,
  MAGIC_HIGH,
  MAGIC_LOW,
  R_STATE,
  requestAt,
  REQUESTS,
  W_DIED,
  W_MAGIC,
  W_VERSION,
} from "./layout.ts";
import { lifePath, lockPath } from "./lock_name.ts";

/** How often a name is looked up again when its file is just being removed, 1 ms apart. */
const ATTEMPTS = 2000;

/** One request's own open file of a lock. */
export class LockFile {
  readonly path: string;
  readonly fd: IpcFd;
  readonly #status: FileStatus;
  readonly #mapping: Mapping;
  readonly words: Int32Array<ArrayBuffer>;

  private constructor(path: string, fd: IpcFd, status: FileStatus, what: string) {
    this.path = path;
    this.fd = fd;
    this.#status = status;
    // By a description of its own: a mapping keeps it open, and with it the locks.
    const apart = reopen(fd.fd, what);
    try {
      this.#mapping = Mapping.shared(apart.fd, LOCK_FILE_SIZE);
      this.words = new Int32Array(this.#mapping.buffer);
    } finally {
      apart.close();
    }
  }

  /**
   * Opens the file of a lock; makes it if there is none.
   *
   * @throws {IpcError} `Permission` if it is another user's, `Incompatible` if it is something else.
   */
  static open(name: string): LockFile {
    const path = lockPath(name), what = `Cannot request the lock "${name}"`;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const fd = find(path, what) ?? make(path, what);
      if (fd === undefined) continue;
      try {
        return new LockFile(path, fd, fileStatus(fd.fd)!, what);
      } catch (error) {
        fd.close();
        throw error;
      }
    }
    throw new IpcError(
      "Timeout",
      `${what}: a process that is removing its file has been stopped half-way; continue or end it`,
    );
  }

  /** Closes it; the last one removes it. */
  close(): void {
    const { path, words } = this;
    if (tryLockFile(this.fd.fd, "alone") && !hasNews(words) && isSameFile(this.#status, path)) {
      step("lock-removing");
      removeFiles(path);
    }
    this.#mapping.unmap();
    this.fd.close();
  }
}

/** Whether a death has not been told yet. */
function hasNews(words: Int32Array): boolean {
  if (words[W_DIED] !== 0) return true;
  for (let n = 0; n < REQUESTS; n++) if (words[requestAt(n) + R_STATE] === HELD) return true;
  return false;
}

/** The signs of life first, and the name last: who opens the name next finishes it. */
export function removeFiles(path: string): number {
  const lives = lifePath(path, 0).slice(SHARED_FOLDER.length + 1, -1);
  for (const file of listDirectory(SHARED_FOLDER)) {
    if (file.startsWith(lives) && /^\d+$/.test(file.slice(lives.length))) unlinkFile(`${SHARED_FOLDER}/${file}`);
  }
  return unlinkFile(path);
}

/** The file that has the name, held; `undefined` if there is none now. */
function find(path: string, what: string): IpcFd | undefined {
  const found = openRegularFile(path, "read-write", what);
  if (found === "nothing") return undefined;
  if (found === "another kind") throw noLock(what, path, "not a regular file");
  const { fd, status } = found;
  try {
    Trusted.user.check(status, what, path);
    checkLockFile(fd.fd, status, what, path);
    if (tryLockFile(fd.fd, "shared") && isSameFile(status, path)) return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
  fd.close();
  pauseSync(1);
  return undefined;
}

/**
 * @throws {IpcError} `Incompatible` if a file is not a lock.
 */
export function checkLockFile(fd: number, status: FileStatus, what: string, path: string): void {
  const words = readWordsAt(fd, 0, W_VERSION + 1);
  if (status.size !== LOCK_FILE_SIZE || words[W_MAGIC] !== MAGIC_LOW || words[W_MAGIC + 1] !== MAGIC_HIGH) {
    throw noLock(what, path, "something else");
  }
  if (words[W_VERSION] !== FORMAT_VERSION) throw noLock(what, path, `a lock of format ${words[W_VERSION]}`);
}

function noLock(what: string, path: string, found: string): IpcError {
  return new IpcError("Incompatible", `${what}: ${path} is ${found}; remove it, or use another name`);
}

/** Makes the file, held; `undefined` if another has. */
function make(path: string, what: string): IpcFd | undefined {
  const fd = createUnnamed(SHARED_FOLDER, what);
  let made = false;
  try {
    allocateShared(fd.fd, LOCK_FILE_SIZE, what);
    setMode(fd.fd, 0o600, what);
    const mapping = Mapping.shared(fd.fd, LOCK_FILE_SIZE);
    const words = new Int32Array(mapping.buffer);
    words[W_MAGIC] = MAGIC_LOW;
    words[W_MAGIC + 1] = MAGIC_HIGH;
    words[W_VERSION] = FORMAT_VERSION;
    mapping.unmap();
    made = tryLockFile(fd.fd, "shared") && publish(fd.fd, path, what);
    return made ? fd : undefined;
  } finally {
    if (!made) fd.close();
  }
}
