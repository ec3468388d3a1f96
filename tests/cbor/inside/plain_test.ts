import { assert, assertEquals } from "@std/assert";
import { Message } from "../../../channel/message/outgoing.ts";
import { decodeCbor, decodeParts, encodeCbor, Mark } from "../../../cbor/mod.ts";
import { decode } from "../../../cbor/strict_reader.ts";
import { copyOf, NOT_PLAIN, readPlain, reviveMarked } from "../../../cbor/plain_reader.ts";
import { write } from "../../../cbor/writer.ts";
import type { Collect } from "../../../cbor/written.ts";
import { PACK } from "../../../base/pack.ts";
import { channel } from "../../../mod.ts";
import { rawDecode, rawEncode, safeNumbers } from "../../support/cbor_x.ts";
import { test } from "../../support/test.ts";

// --- Values, by chance but the same ones every time --------------------------------------------------------------------

function generator(seed: number): (below: number) => number {
  return (below) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
}

const NUMBERS = [
  ...[0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53],
  ...[-1, -24, -25, -256, -257, -65_536, -65_537, -(2 ** 31), -(2 ** 32), -(2 ** 32) - 1, -(2 ** 53)],
  ...[-0, 0.5, -2.25, 1e300, 5e-324, NaN, Infinity, -Infinity],
];
const BIG = [0n, 1n, 2n ** 53n, 2n ** 64n - 1n, -1n, -(2n ** 64n)];
const TEXTS = ["", "a", "isthmus", "ä", "日本語", "😀", "x".repeat(23), "x".repeat(24), "é".repeat(12), "y".repeat(63)]
  .concat(["z".repeat(64), "ü".repeat(200), "w".repeat(5000), "😀".repeat(20_000), "\u0000", "\ufeffbom"]);

function someValue(below: (n: number) => number, depth: number): unknown {
  switch (below(depth > 4 ? 6 : 8)) {
    case 0:
      return NUMBERS[below(NUMBERS.length)];
    case 1:
      return TEXTS[below(TEXTS.length)];
    case 2:
      return [true, false, null, undefined][below(4)];
    case 3:
      return BIG[below(BIG.length)];
    case 4:
      return new Uint8Array([0, 1, 23, 24, 47, 49, 300, 2000][below(8)]!).map((_, i) => i);
    case 5:
      return below(100_000);
    case 6:
      return Array.from({ length: below(below(9) === 0 ? 40 : 5) }, () => someValue(below, depth + 1));
    default: {
      const count = below(below(9) === 0 ? 300 : 6);
      const keys = Array.from({ length: count }, (_, i) => below(2) ? `k${i}` : TEXTS[below(11)]! + i);
      return Object.fromEntries(keys.map((key) => [key, someValue(below, depth + 1)]));
    }
  }
}

function flat(value: unknown, gather: boolean, collect?: Collect): Uint8Array<ArrayBuffer> {
  const message = new Message();
  message.setWritten(write(value, gather, collect)!);
  const longs = new BigInt64Array((message.length + 7) >>> 3);
  const bytes = new Uint8Array(longs.buffer, 0, message.length);
  message.copyTo(bytes, longs, 0);
  return bytes;
}

test("What the plain writer writes, cbor-x reads as the same value, and the plain reader too", () => {
  const below = generator(1);
  for (let i = 0; i < 2000; i++) {
    const value = someValue(below, 0);
    const bytes = flat(value, i % 2 === 0);
    // A big integer that a number could stand for is inside a tag, which the reader of plain values leaves to the other.
    assertEquals(safeNumbers(rawDecode(bytes)), safeNumbers(value));
    const read = readPlain(bytes, 0, bytes.length);
    if (read !== NOT_PLAIN) assertEquals(read, value);
    assertEquals(decodeCbor(bytes), value);
  }
});

test("The plain reader reads what cbor-x writes, wherever in memory it lies", () => {
  const below = generator(2);
  for (let i = 0; i < 500; i++) {
    const value = someValue(below, 0);
    const bytes = rawEncode(value);
    const place = new Uint8Array(7 + bytes.length + 9).fill(0xff);
    place.set(bytes, 7);
    const read = readPlain(place, 7, 7 + bytes.length);
    if (read !== NOT_PLAIN) assertEquals(read, safeNumbers(normalZero(value)));
  }
});

/** cbor-x by itself writes -0 as 0. */
function normalZero(value: unknown): unknown {
  if (Object.is(value, -0)) return 0;
  if (Array.isArray(value)) return value.map(normalZero);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, normalZero(each)]));
}

test("Of bytes that were damaged the plain reader makes nothing, or what the strict reader makes of them", () => {
  const below = generator(3);
  let read = 0, refused = 0;
  for (let i = 0; i < 20_000; i++) {
    const bytes = flat(
      i % 3 === 0 ? someValue(below, 3) : { id: 7, name: "isthmus", pos: [1.5, { deep: [1, 2] }] },
      false,
    );
    for (let n = below(3); n >= 0 && bytes.length > 0; n--) bytes[below(bytes.length)] = below(256);
    const damaged = bytes.subarray(0, bytes.length - (below(4) === 0 ? below(bytes.length) : 0));
    const value = readPlain(damaged, 0, damaged.length);
    if (value === NOT_PLAIN) {
      refused++;
      continue;
    }
    read++;
    assertEquals(value, decode(damaged, 0, damaged.length, copyOf, undefined), damaged.toHex());
  }
  assert(read > 1000 && refused > 1000, `${read} read, ${refused} refused`);
});

/** Something to be collected; a plain object stands for it in what is written. */
class Cargo {
  constructor(readonly content: readonly unknown[], readonly name?: string) {}
  get [PACK]() {
    return true;
  }
}

const PLACE = 70, mark = new Mark("mark");
const begin = encodeCbor("mark").slice();
const collectCargo: Collect = (object) => {
  if (!(object instanceof Cargo)) return undefined;
  const { name, content: rest } = object;
  if (name === undefined) return { begin, begun: 1, number: PLACE, rest };
  return { begin: encodeCbor(["mark", name]).slice(1), begun: 2, number: PLACE, rest };
};
const revive = ([, place, ...content]: readonly unknown[]) => (assertEquals(place, PLACE), new Cargo(content));

test("What is collected is written in its place, inside tag 27, and revived wherever it stands", () => {
  for (
    const value of [
      new Cargo([]),
      [new Cargo([1, "two"]), 3],
      { a: { b: [[new Cargo([7])], null, undefined] }, c: new Cargo(["x".repeat(100), 70_000]) },
      Array.from({ length: 100 }, (_, i) => ({ i, cargo: new Cargo([i, [i, -i]]) })),
      { bytes: new Uint8Array(3000).fill(5), cargo: new Cargo([new Uint8Array([1])]) },
    ]
  ) {
    const bytes = flat(value, true, collectCargo);
    assertEquals(readPlain(bytes, 0, bytes.length), NOT_PLAIN, "for those who do not know the mark");
    assertEquals(readPlain(bytes, 0, bytes.length, undefined, new Mark("other")), NOT_PLAIN);
    assertEquals(reviveMarked(readPlain(bytes, 0, bytes.length, undefined, mark), revive), value);
    assert(bytes.toHex().includes("d81b"), "tag 27");
  }
  const twice = new Cargo([2]);
  const both = flat([twice, twice, new Date(0)], true, collectCargo);
  const [one, other, date] = decodeParts(both, 0, both.length, copyOf, mark, revive) as unknown[];
  assert(one instanceof Cargo && one === other && date instanceof Date);
  assertEquals(write(new Cargo([() => {}]), true, collectCargo), undefined);
});

const NAMES = ["sender", "fd", "sender-of-bytes"];
const knowing = new Mark(
  "mark",
  NAMES.map((name) => ({ name, bytes: encodeCbor(["mark", name]).slice(1) })),
);

test("It makes no difference whether it is known how arrays with a mark begin", () => {
  const read = (bytes: Uint8Array<ArrayBuffer>, mark: Mark, end = bytes.length) =>
    readPlain(bytes, 0, end, undefined, mark);
  for (const name of [...NAMES, "nobody", "sende", "senders", ""]) {
    for (const rest of [[], [1], [2, 3], ["text", [4], { a: 5 }], Array.from({ length: 30 }, (_, i) => i)]) {
      const value = [new Cargo(rest, name), {
        next: new Cargo(structuredClone(rest), "fd"),
        last: new Cargo([], name),
      }];
      const bytes = flat(value, true, collectCargo);
      const found: (readonly unknown[])[] = [];
      const known = reviveMarked(read(bytes, knowing), (content) => (found.push(content), content));
      assertEquals(found.map((content) => content.length), [3 + rest.length, 3 + rest.length, 3]);
      assertEquals(reviveMarked(read(bytes, mark), (content) => content), known);
      for (let end = 0; end < bytes.length; end++) assertEquals(read(bytes, knowing, end), NOT_PLAIN);
    }
  }
  // The beginning alone, in arrays that say they have fewer items, or more.
  for (const count of [0, 1, 2, 3, 23]) {
    const bytes = Uint8Array.of(0xd8, 27, 0x80 | count, ...encodeCbor(["mark", "fd"]).slice(1));
    assertEquals(read(bytes, knowing), read(bytes, mark));
  }
});

test("Of damaged bytes with marks the plain reader makes something or nothing, and never fails", () => {
  const below = generator(5);
  let read = 0, refused = 0;
  for (let i = 0; i < 20_000; i++) {
    const written = write(
      [1, { cargo: new Cargo([0, 1], "sender"), more: [new Cargo([3], "fd")] }],
      false,
      collectCargo,
    )!;
    const bytes = written.bytes.slice(0, written.end);
    for (let n = below(3); n >= 0; n--) bytes[below(bytes.length)] = below(256);
    const value = readPlain(bytes, 0, bytes.length, undefined, mark);
    const same = readPlain(bytes, 0, bytes.length, undefined, knowing);
    assertEquals(same, value);
    if (value === NOT_PLAIN) refused++;
    else reviveMarked(value, (content) => (assertEquals(content[0], "mark"), read++));
  }
  assert(read > 1000 && refused > 1000, `${read} read, ${refused} refused`);
});

test("A short message that claims long arrays within one another is refused without the memory for them", () => {
  // 100 arrays of 2^20 items each, in a message of 1 MiB and a little.
  const bytes = new Uint8Array((1 << 20) + 1000);
  for (let i = 0; i < 100; i++) bytes.set([0x9a, 0x00, 0x10, 0x00, 0x00], 5 * i);
  assertEquals(readPlain(bytes, 0, bytes.length), NOT_PLAIN);
});

test("Objects that serve as tables, with ever new names, are read right when no more names are remembered", () => {
  const [sender, receiver] = channel<Record<string, number>>();
  for (let i = 0; i < 6000; i++) {
    const table = { [`name-${i}`]: i, [`other-${i * 7}`]: -i, same: i };
    sender.sendSync(table);
    assertEquals(receiver.recvSync(), table);
  }
  sender.close(), receiver.close();
});

test("Objects of any number of properties are written in one go, with long byte strings in them at the right places", () => {
  for (const count of [0, 1, 22, 23, 24, 25, 255, 256, 257, 65_535, 65_536]) {
    const names = Array.from({ length: count }, (_, i) => `name ${i}`);
    const inner = Object.fromEntries(names.map((name, i) => [name, i % 1000 === 7 ? new Uint8Array(2000).fill(i) : i]));
    const value = { before: new Uint8Array(1500).fill(1), inner, after: new Uint8Array(1024).fill(2) };
    for (const gather of [false, true]) {
      const bytes = flat(value, gather);
      assertEquals(rawDecode(bytes), value);
      assertEquals(readPlain(bytes, 0, bytes.length), value);
    }
  }
});

test("Names of any length are written right, at first and when they are remembered", () => {
  const names = Array.from({ length: 40 }, (_, i) => "n".repeat(i)).concat(
    Array.from({ length: 20 }, (_, i) => "é".repeat(i + 1)),
    Array.from({ length: 20 }, (_, i) => "n".repeat(i) + "\u{10ffff}\x7f\x7f\u{40000}"), // bytes F0 to F4, 7F, at all places
    ["日本語", "日本語日本", "日本語日本語", "\u{1f600}", "0", "17", "4294967295", "\ud800", "a\udc00b", "\0"],
  );
  for (let round = 0; round < 3; round++) {
    for (const name of names) {
      const bytes = flat({ [name]: 1, [`${name}2`]: 2 }, false);
      assertEquals(decodeCbor(bytes), { [name]: 1, [`${name}2`]: 2 });
      // Half of a pair is no text of which another library knows.
      if (name.isWellFormed()) assertEquals(rawDecode(bytes), { [name]: 1, [`${name}2`]: 2 });
    }
  }
});

test("Nothing of an earlier message goes along with the last bytes of a short one", () => {
  for (let length = 0; length < 17; length++) {
    flat("secret".repeat(100), false);
    const { longs, end } = write("x".repeat(length), false)!;
    const bytes = new Uint8Array(longs!.buffer, 0, (end + 7) & ~7);
    assertEquals([...bytes.subarray(end)], new Array(bytes.length - end).fill(0));
  }
});

test("A name that means something to the engine is a property like any other", () => {
  const { bytes, end } = write({ constructor: 1, toString: 2, hasOwnProperty: 3, "0": 4, "": 5 }, false)!;
  const own = bytes.slice(0, end);
  assertEquals(readPlain(own, 0, own.length), { constructor: 1, toString: 2, hasOwnProperty: 3, "0": 4, "": 5 });
  const polluting = Uint8Array.fromHex("a1695f5f70726f746f5f5fa168706f6c6c7574656401"); // {"__proto__":{"polluted":1}}
  for (let i = 0; i < 3; i++) {
    assertEquals(readPlain(polluting, 0, polluting.length), NOT_PLAIN, "left to the other reader");
    const read = decodeCbor(polluting) as object;
    assertEquals(Object.getOwnPropertyDescriptor(read, "__proto__")?.value, { polluted: 1 });
    assertEquals(Object.getPrototypeOf(read), Object.prototype);
    assertEquals(({} as { polluted?: number }).polluted, undefined);
  }
});

test("A long byte string is sent from where it lies: several, at the beginning, at the end, nested, and typed arrays", () => {
  const [sender, receiver] = channel<unknown>({ capacity: 1 << 20 });
  const long = (n: number) => new Uint8Array(5000 + n).fill(n);
  for (
    const value of [
      long(1),
      [long(2), long(3)],
      { a: 1, b: long(4), c: "text", d: { e: [long(5), 6] }, f: long(7) },
      { samples: Float64Array.from({ length: 1000 }, (_, i) => i / 3), rest: new Int16Array(2000).fill(-5) },
      [new Uint8Array(2 << 20).fill(8), "larger than the ring", new Uint8Array(2 << 20).fill(9)],
    ]
  ) {
    sender.sendSync(value);
    assertEquals(receiver.recvSync(), value);
    sender.sendSync(value);
    using borrowed = receiver.borrowSync();
    assertEquals(borrowed.value, value);
  }
  sender.close(), receiver.close();
});

test("What waits for room is what was sent, whatever the program does with the byte string meanwhile", async () => {
  const [sender, receiver] = channel<{ bytes: Uint8Array } | number>({ capacity: 65_536 });
  while (sender.trySend(1));
  const bytes = new Uint8Array(5000).fill(1);
  const waiting = sender.send({ bytes });
  bytes.fill(2);
  sender.trySend({ bytes }); // is encoded, and not sent
  receiver.recvMany();
  await waiting;
  assertEquals(await receiver.recv(), { bytes: new Uint8Array(5000).fill(1) });
  sender.close(), receiver.close();
});
