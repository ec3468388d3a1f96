// Messages that nobody should send: good ones that were damaged, and such as a grammar of bad habits makes.
import { encodeCbor } from "../../cbor/mod.ts";
import { ValueMaker } from "../support/any_value.ts";
import { Choices } from "../support/choices.ts";

const UINT = 0, NEGATIVE = 1, BYTES = 2, TEXT = 3, ARRAY = 4, MAP = 5, TAG = 6, SIMPLE = 7;

/** Tags that this package writes or reads, those that cbor-x knows, and some that mean nothing. */
export const TAGS: readonly number[] = [
  ...[0, 1, 2, 3, 4, 5, 6, 21, 22, 23, 24, 25, 27, 28, 29, 30, 32, 33, 34, 35, 36, 37, 40, 43, 51, 53],
  ...Array.from({ length: 24 }, (_, i) => 64 + i),
  ...[100, 105, 200, 225, 256, 258, 259, 260, 261, 273, 274, 279, 280, 1004, 1040, 40_000, 51_455, 55_799],
  ...[0xdff9, 0xe000, 0x53687264, 0x52756262, 0x706c61, 2 ** 32, 2 ** 53 + 2],
];

/** Names of classes that stand in tag 27, and some that do not. */
const NAMES: readonly string[] = [
  ...[
    "Array",
    "Error",
    "TypeError",
    "RegExp",
    "Date",
    "Number",
    "String",
    "Boolean",
    "BigInt",
    "ArrayBuffer",
    "DataView",
  ],
  ...["Uint8Array", "Float64Array", "BigInt64Array", "DOMException", "isthmus", "constructor", "__proto__", "Function"],
  ...["Map", "Set", "Object", "AggregateError", "hasOwnProperty", "URL", ""],
];

const WORDS = [
  "a",
  "b",
  "stack",
  "cause",
  "message",
  "name",
  "then",
  "__proto__",
  "constructor",
  "length",
  "0",
  "1",
  "7",
];

const LENGTHS = [
  255,
  256,
  65_535,
  65_536,
  2 ** 30,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53 - 1,
  2 ** 53,
  2 ** 60,
  2 ** 64 - 2048,
];

/** Writes one message as choices have it. */
class Grammar {
  readonly #choices: Choices;
  readonly #out: number[] = [];
  #left = 60;

  constructor(choices: Choices) {
    this.#choices = choices;
  }

  message(): Uint8Array<ArrayBuffer> {
    this.#item(0);
    if (this.#choices.below(30) === 29) this.#item(0);
    return Uint8Array.from(this.#out);
  }

  #head(major: number, n: number): void {
    // Now and then longer than it has to be.
    const longer = this.#choices.below(12) === 11 ? this.#choices.below(4) : 0;
    const need = n < 24 ? 0 : n < 0x100 ? 1 : n < 0x10000 ? 2 : n < 0x1_0000_0000 ? 3 : 4;
    const size = Math.min(4, need + longer);
    this.#out.push(major << 5 | (size === 0 ? n : 23 + size));
    if (size > 0) {
      const view = new DataView(new ArrayBuffer(8));
      view.setBigUint64(0, BigInt(n));
      for (let i = 8 - (1 << (size - 1)); i < 8; i++) this.#out.push(view.getUint8(i));
    }
  }

  #bytes(bytes: Iterable<number>): void {
    for (const byte of bytes) this.#out.push(byte);
  }

  /** A count that is right, nearly always. */
  #count(actual: number): number {
    switch (this.#choices.below(40)) {
      case 39:
        return this.#choices.of(LENGTHS);
      case 38:
        return actual + 1;
      case 37:
        return Math.max(0, actual - 1);
      default:
        return actual;
    }
  }

  #text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.#head(TEXT, this.#count(bytes.length));
    this.#bytes(bytes);
  }

  #item(depth: number): void {
    const { below, of } = {
      below: (n: number) => this.#choices.below(n),
      of: <T>(a: readonly T[]) => this.#choices.of(a),
    };
    if (--this.#left < 0 || depth > 12) return this.#head(UINT, below(30));
    switch (below(22)) {
      case 0:
        return this.#head(UINT, below(30));
      case 1:
        return this.#head(UINT, of(LENGTHS));
      case 2:
        return this.#head(NEGATIVE, below(4) === 3 ? of(LENGTHS) : below(300));
      case 3: {
        const bytes = Array.from({ length: of([0, 1, 2, 3, 4, 8, 16, 40]) }, () => below(256));
        this.#head(BYTES, this.#count(bytes.length));
        return this.#bytes(bytes);
      }
      case 4:
      case 5:
        return this.#text(of(WORDS));
      case 6: {
        const bytes = Array.from(
          { length: below(6) },
          () => of([0x61, 0xc3, 0xa9, 0xed, 0xa0, 0x80, 0xf0, 0x9f, 0xef, 0xbb, 0xff]),
        );
        this.#head(TEXT, bytes.length);
        return this.#bytes(bytes);
      }
      case 7:
        this.#out.push(
          of([0xf4, 0xf5, 0xf6, 0xf7, 0xe0, 0xf3, 0xf8, 0xff, 0xfc, 0xfe, 0x1f, 0x3f, 0xdf, 0x1c, 0x7d, 0x9e]),
        );
        if (this.#out.at(-1) === 0xf8) this.#out.push(below(256));
        return;
      case 8: {
        const size = of([1, 2, 3]);
        this.#out.push(SIMPLE << 5 | 24 + size);
        return this.#bytes(Array.from({ length: 1 << size }, () => of([0, 0x7f, 0xf0, 0xff, 0x40, 1, 0x80])));
      }
      case 9:
      case 10: {
        const count = below(5);
        this.#head(ARRAY, this.#count(count));
        for (let i = 0; i < count; i++) this.#item(depth + 1);
        return;
      }
      case 11:
      case 12: {
        const count = below(5);
        this.#head(MAP, this.#count(count));
        for (let i = 0; i < count; i++) this.#entry(depth);
        return;
      }
      case 13: {
        const major = of([ARRAY, MAP, BYTES, TEXT]);
        this.#out.push(major << 5 | 31);
        for (let i = below(4); i > 0; i--) {
          if (major === MAP) this.#entry(depth);
          else if (major === ARRAY || below(10) === 9) this.#item(depth + 1);
          else if (major === TEXT) this.#text(of(WORDS));
          else this.#head(BYTES, 0);
        }
        if (below(12) !== 11) this.#out.push(0xff);
        return;
      }
      case 14:
      case 15:
        this.#head(TAG, of(TAGS));
        return this.#item(depth + 1);
      case 16:
        this.#bytes([0xd8, 28]);
        return this.#item(depth + 1);
      case 17:
        this.#bytes([0xd8, 29]);
        return this.#head(UINT, below(4));
      case 18: {
        this.#bytes([0xd8, 27]);
        const parts = below(4);
        this.#head(ARRAY, this.#count(parts + 1));
        this.#text(of(NAMES));
        for (let i = 0; i < parts; i++) this.#item(depth + 1);
        return;
      }
      case 19: {
        this.#bytes(of([[0xd9, 1, 2], [0xd9, 1, 3]]));
        const isMap = this.#out.at(-1) === 3, count = below(4);
        this.#head(isMap ? MAP : ARRAY, this.#count(count));
        for (let i = 0; i < count * (isMap ? 2 : 1); i++) this.#item(depth + 1);
        return;
      }
      case 20: {
        this.#bytes([0xd8, 64 + below(24)]);
        const length = of([0, 8, 16, 1, 7]);
        this.#head(BYTES, length);
        return this.#bytes(new Uint8Array(length));
      }
      default:
        this.#bytes(Array.from({ length: 1 + below(4) }, () => below(256)));
    }
  }

  #entry(depth: number): void {
    if (this.#choices.below(5) === 4) this.#item(depth + 1);
    else this.#text(this.#choices.of(WORDS));
    this.#item(depth + 1);
  }
}

let pool: Uint8Array<ArrayBuffer>[] | undefined;

/** Good messages, not long. */
function goodOnes(): Uint8Array<ArrayBuffer>[] {
  if (pool !== undefined) return pool;
  pool = [];
  for (let seed = 1; pool.length < 400; seed++) {
    try {
      const bytes = Uint8Array.from(encodeCbor(new ValueMaker(Choices.of(seed), 12).value()));
      if (bytes.length > 4 && bytes.length < 1500) pool.push(bytes);
    } catch {
      // One that cannot be sent
    }
  }
  return pool;
}

const BYTES_THAT_MATTER = [
  0,
  1,
  0x17,
  0x18,
  0x1b,
  0x40,
  0x5f,
  0x7f,
  0x80,
  0x9f,
  0xbf,
  0xc1,
  0xd8,
  0xd9,
  0xf7,
  0xfb,
  0xff,
  27,
  28,
  29,
];

function damaged(choices: Choices): Uint8Array<ArrayBuffer> {
  let bytes = choices.of(goodOnes()).slice();
  for (let times = 1 + choices.below(4); times > 0 && bytes.length > 0; times--) {
    const at = choices.below(bytes.length);
    switch (choices.below(8)) {
      case 0:
        bytes = bytes.slice(0, at);
        break;
      case 1:
        bytes[at] = choices.of(BYTES_THAT_MATTER);
        break;
      case 2:
        bytes[at] = choices.below(256);
        break;
      case 3:
        bytes[at]! ^= 1 << choices.below(8);
        break;
      case 4: // a piece again
        bytes = joined(bytes.subarray(0, at), bytes.subarray(Math.max(0, at - 1 - choices.below(20))));
        break;
      case 5: // a piece less
        bytes = joined(bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + choices.below(8))));
        break;
      case 6: // something in between
        bytes = joined(bytes.subarray(0, at), new Grammar(choices).message(), bytes.subarray(at));
        break;
      case 7: { // a number that is too large
        const view = new DataView(new ArrayBuffer(9));
        view.setUint8(0, choices.below(6) << 5 | 27);
        view.setBigUint64(1, BigInt(choices.of(LENGTHS)));
        bytes = joined(bytes.subarray(0, at), new Uint8Array(view.buffer), bytes.subarray(at));
      }
    }
  }
  return bytes;
}

function joined(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let to = 0;
  for (const part of parts) all.set(part, to), to += part.length;
  return all;
}

/** A message as choices have it. */
export function anyMessage(choices: Choices): Uint8Array<ArrayBuffer> {
  return choices.below(2) === 0 ? new Grammar(choices).message() : damaged(choices);
}
