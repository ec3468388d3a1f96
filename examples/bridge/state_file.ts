// A small value that survives the death of its process at any moment.
//
// ```text
// byte
//       0  copy 0    length (4) · checksum (4) · number (8, a double) · JSON
//   65536  copy 1    the same
// ```
//
// The two are written in turn, so a process that is killed while it writes one leaves the other. It is meant for the memory
// file system that the ring lies in: both end with the machine. It is not synchronised to a disk.

/** Bytes of a copy. */
const COPY = 65_536;
const HEADER = 16;

/** FNV-1a, 32 bits. */
function checksum(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** A value in a file. One process has it open at a time: it is locked. */
export class StateFile<T> implements Disposable {
  readonly #file: Deno.FsFile;
  readonly #buffer = new Uint8Array(COPY);
  readonly #view = new DataView(this.#buffer.buffer);
  #number = 0;

  /** What was in the file; `undefined` if there was nothing. */
  readonly found: T | undefined;

  /**
   * Opens the file, or makes it.
   *
   * @throws {Error} If another process has it open.
   */
  constructor(path: string) {
    this.#file = Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 });
    if (!this.#file.tryLockSync(true)) {
      this.#file.close();
      throw new Error(`Cannot open "${path}": another bridge has it open; stop that one first`);
    }
    this.found = this.#load();
  }

  #load(): T | undefined {
    let found: T | undefined;
    for (const copy of [0, 1]) {
      this.#file.seekSync(copy * COPY, Deno.SeekMode.Start);
      let filled = 0;
      for (let read; filled < COPY && (read = this.#file.readSync(this.#buffer.subarray(filled))) !== null;) {
        filled += read;
      }
      const length = this.#view.getUint32(0, true), number = this.#view.getFloat64(8, true);
      if (filled < HEADER + length || length === 0 || length > COPY - HEADER || !(number > this.#number)) continue;
      const json = this.#buffer.subarray(HEADER, HEADER + length);
      if (checksum(json) !== this.#view.getUint32(4, true)) continue;
      found = JSON.parse(new TextDecoder().decode(json)) as T;
      this.#number = number;
    }
    return found;
  }

  /**
   * Replaces the value. When this returns it survives this process.
   *
   * @throws {RangeError} If its JSON has more than 65,520 bytes.
   */
  save(value: T): void {
    const json = JSON.stringify(value);
    const { read, written } = new TextEncoder().encodeInto(json, this.#buffer.subarray(HEADER));
    if (read !== json.length) {
      throw new RangeError(`Cannot keep ${json.length} characters: there is room for ${COPY - HEADER}`);
    }
    this.#number++;
    this.#view.setUint32(0, written, true);
    this.#view.setUint32(4, checksum(this.#buffer.subarray(HEADER, HEADER + written)), true);
    this.#view.setFloat64(8, this.#number, true);
    this.#file.seekSync(this.#number % 2 * COPY, Deno.SeekMode.Start);
    for (let at = 0; at < HEADER + written;) at += this.#file.writeSync(this.#buffer.subarray(at, HEADER + written));
  }

  /** Closes it; the value stays. */
  [Symbol.dispose](): void {
    this.#file.close();
  }
}

/** What tells a ring's file from another that has its path later. */
export function ringIdentity(path: string): string {
  const { dev, ino, birthtime } = Deno.statSync(path);
  return `${dev}:${ino}:${birthtime?.getTime() ?? 0}`;
}
