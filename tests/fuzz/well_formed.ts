// What RFC 8949 says of bytes, by its appendix C: written anew from the text, to judge the readers by.

/** What is to be said of some bytes. */
export interface Judgement {
  /** One whole, well-formed item, and nothing behind it. */
  readonly wellFormed: boolean;
  /** All text in it is UTF-8. */
  readonly utf8: boolean;
  /** There are tags in it. */
  readonly tagged: boolean;
  /** Levels within one another, tags among them. */
  readonly depth: number;
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Judges some bytes. */
export function judge(bytes: Uint8Array<ArrayBuffer>): Judgement {
  const walk = new Walk(bytes);
  const wellFormed = walk.item(false) !== -1 && !walk.failed && walk.at === bytes.length;
  return { wellFormed, utf8: walk.utf8, tagged: walk.tagged, depth: walk.depth };
}

class Walk {
  at = 0;
  failed = false;
  utf8 = true;
  tagged = false;
  depth = 0;
  #level = 0;
  readonly #bytes: Uint8Array<ArrayBuffer>;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
  }

  #take(count: number): number {
    if (this.failed || count > this.#bytes.length - this.at) return this.failed = true, 0;
    let n = 0;
    for (let i = 0; i < count; i++) n = n * 256 + this.#bytes[this.at++]!;
    return n;
  }

  /** Returns the major type, 99 for a break that is allowed, or -1. */
  item(breakable: boolean): number {
    const initial = this.#take(1), major = initial >> 5, info = initial & 31;
    let n = info;
    if (info >= 24 && info <= 27) n = this.#take(1 << (info - 24));
    else if (info >= 28 && info <= 30) this.failed = true;
    else if (info === 31) return this.#indefinite(major, breakable);
    if (this.failed) return -1;
    this.depth = Math.max(this.depth, ++this.#level);
    switch (major) {
      case 2:
      case 3:
        this.#string(n, major === 3);
        break;
      case 4:
      case 5:
        for (let i = 0; i < n * (major - 3) && !this.failed; i++) this.item(false);
        break;
      case 6:
        this.tagged = true;
        this.item(false);
        break;
      case 7:
        if (info === 24 && n < 32) this.failed = true;
    }
    this.#level--;
    return this.failed ? -1 : major;
  }

  #string(length: number, isText: boolean): void {
    if (length > this.#bytes.length - this.at) {
      this.failed = true;
      return;
    }
    const content = this.#bytes.subarray(this.at, this.at += length);
    if (!isText) return;
    try {
      strict.decode(content);
    } catch {
      this.utf8 = false;
    }
  }

  #indefinite(major: number, breakable: boolean): number {
    if (this.failed) return -1;
    this.depth = Math.max(this.depth, ++this.#level);
    if (major === 2 || major === 3) {
      for (;;) {
        const initial = this.#take(1);
        if (this.failed || initial === 0xff) break;
        const info = initial & 31;
        if (initial >> 5 !== major || info > 27) this.failed = true;
        else this.#string(info < 24 ? info : this.#take(1 << (info - 24)), major === 3);
        if (this.failed) break;
      }
    } else if (major === 4) {
      while (!this.failed && this.item(true) !== 99);
    } else if (major === 5) {
      while (!this.failed && this.item(true) !== 99) this.item(false);
    } else if (major === 7 && breakable) {
      this.#level--;
      return 99;
    } else {
      this.failed = true;
    }
    this.#level--;
    return this.failed ? -1 : major;
  }
}
