// What the name of a topic stands for: a file in shared memory, or, if it is a path, the file at that path.
import { SHARED_FOLDER } from "../../ffi/file/named_file.ts";

/** What the files of topics begin with that are called by a name; the rest is the name. */
const TOPIC_PREFIX = "isthmus-topic.";

/** Most bytes of a name: with the prefix, and what is appended to it, it must stay a file name, of at most 255 bytes. */
const NAME_LIMIT = 200;

/** The longest path, with what is appended to it. */
const PATH_LIMIT = 4096 - 16;

/**
 * The file of a topic.
 *
 * @param name With a slash it is the path of the file; without one a name in shared memory.
 * @throws {TypeError} If it can be neither.
 */
export function topicPath(name: string): string {
  const rule =
    `the name of a topic is text of 1 to ${NAME_LIMIT} bytes without NUL, or, with "/" in it, the path of its ` +
    "file";
  if (typeof name !== "string") throw new TypeError(`Cannot use ${String(name)} as the name of a topic: ${rule}`);
  const isPath = name.includes("/");
  const length = new TextEncoder().encode(name).length;
  if (length > (isPath ? PATH_LIMIT : NAME_LIMIT)) {
    throw new TypeError(`Cannot use "${name.slice(0, 40)}…", of ${length} bytes, as the name of a topic: ${rule}`);
  }
  // What lies beside another topic.
  if (/\.(seats|bell\.\d+|early\.[0-9a-f]{8})$/.test(name)) {
    throw new TypeError(
      `Cannot use ${
        JSON.stringify(name)
      } as the name of a topic: ".seats", ".bell.N" and ".early.ID" are files beside it`,
    );
  }
  // A lone surrogate would become U+FFFD, and two names one file.
  if (length === 0 || name.includes("\0") || !name.isWellFormed() || name.startsWith("@") || name.endsWith("/")) {
    throw new TypeError(`Cannot use ${JSON.stringify(name)} as the name of a topic: ${rule}`);
  }
  return isPath ? name : `${SHARED_FOLDER}/${TOPIC_PREFIX}${name}`;
}

/** The name of the topic in a file: what {@linkcode topicPath} was given for it, or could have been. */
export function topicName(path: string): string {
  const prefix = `${SHARED_FOLDER}/${TOPIC_PREFIX}`;
  return path.startsWith(prefix) ? path.slice(prefix.length) : path;
}

/** Where publishers and subscribers are counted, and those who wait put their names down. */
export function seatsPath(path: string): string {
  return `${path}.seats`;
}

/** What the doorbells of those begin with who came before the topic; an id of 8 hexadecimal digits follows. */
export function earlyPath(path: string): string {
  return `${path}.early.`;
}

/** The doorbell of one seat. */
export function bellPath(path: string, seat: number): string {
  return `${path}.bell.${seat}`;
}
