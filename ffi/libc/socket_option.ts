// Options of sockets, read.
import { runtime } from "../runtime/mod.ts";
import { libc } from "./libc.ts";
import { SOL_SOCKET } from "./platform.ts";

/** Words for a value: no option that is read here has more. */
const LENGTH = 16;

/** What `getsockopt` takes, by its addresses: an array as an argument takes 20 ns, and many are asked one after another. */
class Answer {
  /** The value, then its length in bytes. */
  readonly words = new Int32Array(LENGTH + 16); // the engine moves what is smaller
  readonly value = runtime.pointerTo(this.words);
  readonly length = runtime.pointer(runtime.address(this.value) + BigInt(this.words.BYTES_PER_ELEMENT * LENGTH));
}

let answer: Answer | undefined;

/**
 * The words of an option, until the next call; `undefined` if there is none, as of what is no socket.
 *
 * @param bytes Its length, at most 64.
 */
export function socketOption(fd: number, name: number, bytes: number): Int32Array | undefined {
  const { words, value, length } = answer ??= new Answer();
  words[LENGTH] = bytes;
  return libc().c.getsockopt(fd, SOL_SOCKET, name, value, length) === 0 ? words : undefined;
}
