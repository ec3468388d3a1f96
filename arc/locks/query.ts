// Who holds and who waits for locks, as their files show, without taking part.
import { listDirectory } from "../../ffi/file/directory.ts";
import { isPlaceTaken, tryLockFile } from "../../ffi/file/file_lock.ts";
import { openRegularFile, SHARED_FOLDER } from "../../ffi/file/named_file.ts";
import { readWordsAt } from "../../ffi/file/read_at.ts";
import { unlinkFile } from "../../ffi/file/unlink.ts";
import {
  HELD,
  LOCK_FILE_SIZE,
  R_MODE,
  R_PID,
  R_STATE,
  R_TICKET,
  requestAt,
  REQUESTS,
  SHARED,
  W_DIED,
  WAITING,
} from "./layout.ts";
import { checkLockFile, removeFiles } from "./lock_file.ts";
import { LOCK_LIFE_PREFIX, lockFileOfLife, lockName, lockPath } from "./lock_name.ts";
import type { LockMode } from "./lock_request.ts";

/**
 * One request for a lock.
 *
 * @example Who holds a lock
 * ```ts
 * import { type LockInfo, locks } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const name = `deploy-${crypto.randomUUID()}`;
 * await locks.request(name, async () => {
 *   const { held } = await locks.query();
 *   const mine: LockInfo | undefined = held.find((lock) => lock.name === name);
 *   assertEquals([mine?.mode, mine?.pid], ["exclusive", Deno.pid]);
 * });
 * ```
 */
export interface LockInfo {
  /** The name of the lock. */
  readonly name: string;
  /** How it is held, or is to be held. */
  readonly mode: LockMode;
  /** Id of the process, as that process numbers itself. */
  readonly pid: number;
}

/** One lock, as its file shows. */
export interface LockState {
  readonly name: string;
  readonly held: readonly LockInfo[];
  /** In the order in which they get it. */
  readonly pending: readonly LockInfo[];
  /** Whether a holder has died, and the next one is to be told. */
  readonly ownerDied: boolean;
}

/** What is known of one lock; `undefined` if there is none, or it cannot be opened. */
export function lockState(name: string): LockState | undefined {
  const path = lockPath(name);
  let found;
  try {
    found = openRegularFile(path, "read-write", "");
  } catch {
    return undefined; // another user's
  }
  if (typeof found === "string") return undefined;
  const fd = found.fd;
  try {
    try {
      checkLockFile(fd.fd, found.status, "", path);
    } catch {
      return undefined; // something else
    }
    const words = readWordsAt(fd.fd, 0, LOCK_FILE_SIZE / 4);
    const held: LockInfo[] = [], pending: { ticket: number; info: LockInfo }[] = [];
    let ownerDied = words[W_DIED] !== 0;
    for (let n = 0; n < REQUESTS; n++) {
      const at = requestAt(n), state = words[at + R_STATE];
      if (state !== HELD && state !== WAITING) continue;
      const mode = words[at + R_MODE] === SHARED ? "shared" : "exclusive";
      const info = { name, mode, pid: words[at + R_PID]! } as const;
      if (!isPlaceTaken(fd.fd, n)) ownerDied ||= state === HELD;
      else if (state === HELD) held.push(info);
      else pending.push({ ticket: words[at + R_TICKET]!, info });
    }
    const first = pending[0]?.ticket ?? 0;
    pending.sort((a, b) => ((a.ticket - first) | 0) - ((b.ticket - first) | 0));
    return { name, held, pending: pending.map(({ info }) => info), ownerDied };
  } finally {
    fd.close();
  }
}

/** All locks of this user. */
export function listLocks(): LockState[] {
  const found: LockState[] = [];
  for (const file of listDirectory(SHARED_FOLDER).sort()) {
    const name = lockName(file);
    const state = name === undefined ? undefined : lockState(name);
    if (state !== undefined) found.push(state);
  }
  return found;
}

/**
 * Removes the file of a lock that nobody holds or waits for: what a killed process has left, with the news of its death.
 *
 * @returns Whether it was removed.
 */
export function removeUnusedLock(name: string): boolean {
  const found = openRegularFile(lockPath(name), "read-write", `Cannot remove the lock "${name}"`);
  if (typeof found === "string") return false;
  const fd = found.fd;
  try {
    return tryLockFile(fd.fd, "alone") && removeFiles(lockPath(name)) === 0;
  } finally {
    fd.close();
  }
}

/**
 * Names of the locks that nobody holds or waits for: what killed processes have left.
 *
 * @param remove Whether to remove them, and signs of life that belong to no lock.
 */
export function idleLocks(remove: boolean): string[] {
  const idle = listLocks().filter(({ held, pending }) => held.length + pending.length === 0).map(({ name }) => name);
  if (!remove) return idle;
  const removed = idle.filter(removeUnusedLock);
  // In this order: one whose lock is made after the look at the locks is not in the first list.
  const lives = listDirectory(SHARED_FOLDER).filter((file) => file.startsWith(LOCK_LIFE_PREFIX));
  const there = new Set(lives.length === 0 ? [] : listDirectory(SHARED_FOLDER));
  for (const life of lives) if (!there.has(lockFileOfLife(life))) unlinkFile(`${SHARED_FOLDER}/${life}`);
  return removed;
}
