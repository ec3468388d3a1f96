// Test vectors of cells. All numbers stand here as `docs/protocol.md` has them, and not as the code names them.
import { hex, type Made, type Vector, VectorMemory } from "./memory.ts";

const COUNTER = 40, LENGTHS = 48, MUTEX = 64, CAPACITY = 144, MARK = 164, TEXT = 8384;
/** glibc's on x86-64. */
const OWN_MARK = 1 + 256 * 40;
/** How glibc says that a mutex is process-shared, robust and normal, behind four words that are 0 while it is free. */
const MUTEX_KIND = 16 + 128;

const upTo64 = (n: number) => Math.ceil(n / 64) * 64;

/** FNV-1a, 64 bits. */
function fingerprint(text: string): bigint {
  let hash = 0xCBF29CE484222325n;
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001B3n);
  return hash;
}

class Cell extends VectorMemory {
  readonly #offset: number;
  readonly #stride: number;

  /** @param layout "" of CBOR. */
  constructor(layout: string, capacity: number, scalar = false) {
    const offset = upTo64(TEXT + layout.length), stride = scalar ? 0 : upTo64(capacity);
    const size = offset + stride + upTo64(capacity);
    super(size);
    this.#offset = offset;
    this.#stride = stride;
    this.put(0, "IPCARC\0\x01").words(8, 1, layout === "" ? 0 : 1).long(16, size).words(24, 0, 1);
    if (layout !== "") {
      this.long(32, BigInt.asIntN(64, fingerprint(layout))).words(156, TEXT, layout.length).put(TEXT, layout);
    }
    this.words(56, offset, stride).words(MUTEX + 16, MUTEX_KIND).words(CAPACITY, capacity).words(MARK, OWN_MARK);
  }

  counter(c: number): this {
    return this.words(COUNTER, c);
  }

  value(place: number, bytes: Uint8Array): this {
    return this.words(LENGTHS + 4 * place, bytes.length).put(this.#offset + place * this.#stride, bytes);
  }
}

const letters = (text: string) => new TextEncoder().encode(text);
/** CBOR of the byte strings "first" and "other". */
const FIRST = letters("\x45first"), OTHER = letters("\x45other");
/** Values of the layout `[4]u8`. */
const ONE = letters("one!"), TWO = letters("two!");

const cbor = () => new Cell("", 64).value(0, FIRST).value(1, OTHER);
const pod = () => new Cell("[4]u8", 4).value(0, ONE).value(1, TWO);
const value = (bytes: Uint8Array) => `value ${hex(bytes)}`;

function loaded(): Made[] {
  const cell = (name: string, about: string, layout: string, memory: VectorMemory, ...says: string[]): Made => [
    {
      name: `cell_${name}`,
      kind: "cell",
      about,
      machine: "x86_64",
      ...(layout !== "" ? { layout } : {}),
      says: ["ok", ...says],
    } satisfies Vector,
    memory,
  ];
  /** The same value before and under the lock. */
  const whole = (name: string, about: string, layout: string, memory: VectorMemory, bytes: Uint8Array) =>
    cell(name, about, layout, memory, value(bytes), "lock", value(bytes));
  const died = (name: string, about: string, layout: string, memory: VectorMemory, bytes: Uint8Array) =>
    cell(name, about, layout, memory, value(bytes), "lock ownerDied", value(bytes));
  const junk = cbor();
  junk.bytes.fill(0xA5, 172, 192);
  for (let bell = 0; bell < 4; bell++) junk.bytes.fill(0xA5, 192 + 32 * bell + 20, 192 + 32 * bell + 32);
  const number = (bytes: number[]) => Uint8Array.from(bytes);
  const struct = `{"a":u8,"b":u64}`, pair = number([7, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
  return [
    whole("first_place", "an even counter, half of it even: the value is in place 0", "", cbor(), FIRST),
    whole("second_place", "an even counter, half of it odd: the value is in place 1", "", cbor().counter(2), OTHER),
    whole("counter_wraps", "the counter before it becomes 0", "", cbor().counter(0xFFFFFFFE), OTHER),
    whole("layout", "a value with a layout", "[4]u8", pod().counter(6), TWO),
    whole("struct", "a struct, as C lays it out", struct, new Cell(struct, 16).value(0, pair), pair),
    whole("number", "a number has one place", "u32", new Cell("u32", 4, true).value(0, ONE).counter(2), ONE),
    whole(
      "wide_number",
      "a number of 64 bits",
      "i64",
      new Cell("i64", 8, true).value(0, number([1, 2, 3, 4, 5, 6, 7, 0xFF])),
      number([1, 2, 3, 4, 5, 6, 7, 0xFF]),
    ),
    whole("reserved", "what no field has is not zero, and means nothing", "", junk, FIRST),
    died(
      "write_unfinished",
      "a writer died while it filled place 1",
      "",
      cbor().counter(1).value(1, letters("???")),
      FIRST,
    ),
    died("write_unfinished_again", "the same in place 0", "", cbor().counter(3).value(0, letters("???")), OTHER),
    died(
      "number_unfinished",
      "the counter of a number is odd",
      "u32",
      new Cell("u32", 4, true).value(0, ONE).counter(5),
      ONE,
    ),
    died("owner_died", "the kernel has marked the mutex of one that died", "", cbor().words(MUTEX, 0x40000000), FIRST),

    cell("value_too_long", "a value of more bytes than the cell holds", "", cbor().words(LENGTHS, 65), "error Corrupt"),
    cell("value_of_no_length", "a value of -1 bytes", "", cbor().words(LENGTHS, -1), "error Corrupt"),
  ];
}

function refused(): Made[] {
  const no = (name: string, about: string, memory: VectorMemory, code = "Corrupt", layout?: string): Made => [
    {
      name: `cell_${name}`,
      kind: "cell",
      about,
      machine: "x86_64",
      ...(layout !== undefined ? { layout } : {}),
      says: [`error ${code}`],
    },
    memory,
  ];
  return [
    no("of_no_bytes", "a file of no bytes", new VectorMemory(0)),
    no("another_magic", "the first letter is another", cbor().put(0, "X"), "Incompatible"),
    no("format_2", "a newer format", cbor().words(8, 2), "Incompatible"),
    no("no_mark", "nobody knows whose mutex it is", cbor().words(MARK, 0), "Incompatible"),
    no("another_mark", "the mutex of another C library", cbor().words(MARK, 2 + 256 * 40), "Incompatible"),
    no("another_layout", "it has another layout than is asked for", pod(), "Incompatible", "[5]u8"),
    no("no_layout", "it has CBOR, and a layout is asked for", cbor(), "Incompatible", "[4]u8"),
    no("cut_short", "its file ends before its value", cbor().resized(8400)),
    no("too_long", "its file is longer than it says", cbor().resized(16_384)),
    no("another_kind", "neither CBOR nor a layout", cbor().words(12, 2)),
    no("no_capacity", "it holds no byte", cbor().words(CAPACITY, 0)),
    no("capacity_beyond_the_end", "more than its file has", cbor().words(CAPACITY, 1 << 20)),
    no("offset_in_the_header", "its value would lie within the table of bells", cbor().words(56, 192)),
    no("odd_offset", "its value is not at a multiple of 64", cbor().words(56, 8385)),
    no("negative_offset", "its value would lie before the file", cbor().words(56, -64)),
    no("places_overlap", "its two places overlap", new Cell("", 128).words(60, 64)),
    no("one_place", "one place, for what is no number", cbor().words(60, 0)),
  ];
}

/** All vectors of cells. */
export function cells(): Made[] {
  return [...loaded(), ...refused()];
}
