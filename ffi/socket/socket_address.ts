// Unix socket addresses: paths, and names in Linux's abstract namespace, written with a leading "@".
import { AF_UNIX } from "../libc/platform.ts";
import { SOCKADDR_UN } from "../libc/structs.ts";

/** Bytes of `sun_path`, the terminating NUL included. */
const PATH_LIMIT = SOCKADDR_UN.size - SOCKADDR_UN.sun_path;

/** Whether a name stands for an abstract address, which leaves no file behind. */
export function isAbstract(name: string): boolean {
  return name.startsWith("@");
}

/**
 * `struct sockaddr_un` for a name.
 *
 * @throws {TypeError} If the name is empty, too long or contains NUL.
 */
export function socketAddress(name: string): Uint8Array<ArrayBuffer> {
  const rule = `a socket name is a path, or "@" and a name, of 1 to ${PATH_LIMIT - 1} bytes without NUL`;
  if (typeof name !== "string" || name === "" || name === "@" || name.includes("\0")) {
    throw new TypeError(`Cannot use ${JSON.stringify(name)} as the name of a socket: ${rule}`);
  }
  const bytes = new TextEncoder().encode(name);
  if (bytes.length >= PATH_LIMIT) {
    throw new TypeError(`Cannot use a socket name of ${bytes.length} bytes, "${name.slice(0, 40)}…": ${rule}`);
  }
  // The length of an abstract address counts: there is no terminator.
  const abstract = isAbstract(name);
  const address = new Uint8Array(SOCKADDR_UN.sun_path + bytes.length + (abstract ? 0 : 1));
  address[SOCKADDR_UN.sun_family] = AF_UNIX;
  address.set(bytes, SOCKADDR_UN.sun_path);
  if (abstract) address[SOCKADDR_UN.sun_path] = 0;
  return address;
}

/** A fresh abstract name that nobody can guess; it says what it is for. */
export function freshAbstractName(use: string): string {
  return `@isthmus-${use}-${crypto.randomUUID()}`;
}
