// Names of locks, and the files in shared memory that they stand for.
import { asFound } from "../../base/arguments.ts";
import { SHARED_FOLDER } from "../../ffi/file/named_file.ts";

/** What the files of locks begin with; the rest is the name, with what no file name may have in it as %XX. */
const LOCK_PREFIX = "isthmus-lock.";

/** The same of the signs of life beside it, which have the number of the request behind the rest. */
export const LOCK_LIFE_PREFIX = "isthmus-lock-life.";

/** Most bytes of that rest: with what else is appended it must stay a file name, of at most 255 bytes. */
const NAME_LIMIT = 200;

const escaped = (character: string) => `%${character.charCodeAt(0).toString(16).padStart(2, "0")}`;

/**
 * The file of a lock.
 *
 * @throws {TypeError} If the name cannot be one.
 */
export function lockPath(name: string): string {
  const rule = `the name of a lock is text of 1 to ${NAME_LIMIT} bytes, where "/" and "%" count as three`;
  if (typeof name !== "string" || name === "" || !name.isWellFormed()) {
    throw new TypeError(`Cannot request the lock ${asFound(name)}: ${rule}`);
  }
  const file = name.replaceAll(/[%/\0]/g, escaped);
  if (new TextEncoder().encode(file).length > NAME_LIMIT) {
    throw new TypeError(`Cannot request the lock ${asFound(name)}: ${rule}`);
  }
  return `${SHARED_FOLDER}/${LOCK_PREFIX}${file}`;
}

/** The name of the lock in a file; `undefined` if the file is something else. */
export function lockName(file: string): string | undefined {
  if (!file.startsWith(LOCK_PREFIX)) return undefined;
  const name = file.slice(LOCK_PREFIX.length).replaceAll(
    /%([0-9a-f]{2})/g,
    (_, code) => String.fromCharCode(parseInt(code, 16)),
  );
  return name === "" ? undefined : name;
}

/** The sign of life of a request. */
export function lifePath(path: string, n: number): string {
  return `${SHARED_FOLDER}/${LOCK_LIFE_PREFIX}${path.slice(SHARED_FOLDER.length + 1 + LOCK_PREFIX.length)}.${n}`;
}

/** The file of the lock that a sign of life belongs to, in the same folder. */
export function lockFileOfLife(life: string): string {
  return LOCK_PREFIX + life.slice(LOCK_LIFE_PREFIX.length, life.lastIndexOf("."));
}
