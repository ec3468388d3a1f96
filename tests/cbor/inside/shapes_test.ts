// Objects of shapes that came before, which are written and read by what is known of them.
import { assert, assertEquals } from "@std/assert";
import { Names } from "../../../cbor/property_names.ts";
import { NOT_PLAIN, readPlain } from "../../../cbor/plain_reader.ts";
import { write } from "../../../cbor/writer.ts";
import { channel, type IpcSender } from "../../../mod.ts";
import { soon } from "../../support/assert_ipc.ts";
import { rawDecode, safeNumbers } from "../../support/cbor_x.ts";
import { processTest, test } from "../../support/test.ts";

/** Often enough for everything that is done only for what comes often. */
const OFTEN = 100;

function written(value: unknown): Uint8Array<ArrayBuffer> {
  const { bytes, end } = write(value, false)!;
  return bytes.slice(0, end);
}

/** Memory of which messages are only part, like that of a ring. */
const ring = new Uint8Array(1 << 16).fill(0x61);

/** Reads the first bytes of a message out of the ring, behind which is what `behind` says. */
function readInRing(bytes: Uint8Array<ArrayBuffer>, length = bytes.length, behind = bytes): unknown {
  const at = ring.length - 1024 - bytes.length;
  ring.set(behind, at), ring.set(bytes.subarray(0, length), at);
  return readPlain(ring, at, at + length);
}

/** Writes and reads it; cbor-x must read the same. */
function comesBack(value: unknown, what?: string): void {
  const bytes = written(value);
  const read = readPlain(bytes, 0, bytes.length);
  // As text, as that tells the order of properties as well.
  const expected = inOrder(value);
  assertEquals(inOrder(read), expected, what);
  if (bytes.length < 4096) assertEquals(inOrder(readInRing(bytes)), expected, what);
  assertEquals(inOrder(safeNumbers(rawDecode(bytes))), expected, what);
}

function inOrder(value: unknown): string {
  return JSON.stringify(value, (_, each) => each instanceof Uint8Array ? { bytes: each.toHex() } : each);
}

/** An object of so many properties, named after `name`. */
function objectOf(name: string, count: number, value: (i: number) => unknown): Record<string, unknown> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [name + i, value(i)]));
}

test("Objects come back whole and in order, whatever number of properties they have and however often they came", () => {
  for (const count of [0, 1, 2, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 40, 300]) {
    for (let i = 0; i < OFTEN; i++) {
      comesBack(objectOf("p", count, (n) => (i * n) % 7 === 0 ? { n } : n * i), `${count} properties, time ${i}`);
    }
  }
});

test("More shapes than there are places for come back, in any order of coming", () => {
  const shapes = Array.from(
    { length: 60 },
    (_, s) => (n: number) => objectOf(`s${s % 20}_`, 1 + (s % 13), (i) => [n, i, new Uint8Array([s, i])][i % 3]),
  );
  for (let n = 0; n < OFTEN; n++) {
    for (let s = 0; s < shapes.length; s++) comesBack(shapes[(s * (1 + 2 * (n % 7)) + n) % shapes.length]!(n));
  }
});

test("Objects that part ways after any of their properties come back", () => {
  const names = Array.from({ length: 12 }, (_, i) => `name${i}`);
  const variants = names.map((_, at) =>
    Object.fromEntries(names.flatMap((name, i): [string, unknown][] => {
      if (i < at) return [[name, i]];
      return i === at ? [["other", { name1: i }], ["name1", 0]] : [[`${name}${at}`, -i]];
    }))
  );
  // Whole, as a beginning, and with more behind it, each after each other.
  const all = variants.flatMap((value) => [value, beginning(value, 5), { ...value, last: 1 }]);
  for (let i = 0; i < all.length; i++) {
    for (let j = 0; j < all.length; j++) {
      comesBack(all[i]);
      comesBack(JSON.parse(JSON.stringify([all[j], all[i], { in: all[j], and: { in: all[i] } }]))); // nothing twice
    }
  }
});

function beginning(value: Record<string, unknown>, count: number): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).slice(0, count));
}

test("An object within one of the same shape comes back, and so do many in an array", () => {
  for (let i = 0; i < OFTEN; i++) {
    comesBack({
      left: { left: { left: i, right: null }, right: 2 },
      right: { left: 3, right: { left: [], right: {} } },
    });
    comesBack(Array.from({ length: i }, (_, n) => ({ left: n, right: i })));
  }
});

test("A name that differs from the expected one in any byte, or in length, is read as what it is", () => {
  for (let length = 0; length < 45; length++) {
    const name = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW".slice(0, length);
    const before = `before${length % 5}`; // or too many names would follow one
    const value = { [before]: 1, [name]: 2, after: 3 };
    for (let i = 0; i < OFTEN; i++) comesBack(value);
    for (let at = 0; at < length; at++) {
      const other = name.slice(0, at) + "!" + name.slice(at + 1);
      comesBack({ [before]: 1, [other]: 2, after: 3 });
      comesBack(value);
    }
    comesBack({ [before]: 1, [name + "!"]: 2, after: 3 });
    comesBack({ [before]: 1, [name]: 2, after: 3, more: 4 });
  }
});

test("Names that come again are remembered, however many others come once", () => {
  const names = new Names();
  let last = names.first;
  for (let i = 0; i < 20; i++) {
    for (let stranger = 0; stranger < 1000; stranger++) {
      assertEquals(names.add(last, `stranger ${i} ${stranger}`), undefined);
    }
    assertEquals(names.add(last, `name${i}`), undefined);
    const name = names.add(last, `name${i}`)!;
    assertEquals([name.text, names.add(last, `name${i}`)], [`name${i}`, name]);
    last = name;
  }
  assertEquals(names.shapeOf(last)!.keys, Array.from({ length: 20 }, (_, i) => `name${i}`));
});

test("Values of every kind and size are read at every place of an object that is known", () => {
  const values = [0, 23, 24, 255, 256, 65536, -1, -500, 1.5, "", "text", "x".repeat(30), true, false, null, [], [
    1,
    2.5,
  ]]
    .concat([0, 1, 22, 23, 24, 70].map((length) => new Uint8Array(length).fill(length) as never), [{} as never]);
  for (let i = 0; i < values.length * OFTEN; i++) {
    const at = (n: number) => structuredClone(values[(i + n * Math.ceil((i + 1) / values.length)) % values.length]); // nothing twice
    comesBack({ a: at(0), bb: at(1), ccc: at(2), dddd: at(3), eeeee: at(4) });
  }
});

test("A peer may write names in a longer form, twice, and in other orders; what it means stays the same", () => {
  const known = { one: 1, two: 2 };
  for (let i = 0; i < OFTEN; i++) comesBack(known);
  const one = "636f6e65", longOne = "78036f6e65", two = "6374776f", longTwo = "79000374776f";
  for (
    const [hex, expected] of [
      [`a2${longOne}01${two}02`, known],
      [`a2${one}01${longTwo}02`, known],
      [`b802${one}01${two}02`, known],
      [`a2${two}02${one}01`, { two: 2, one: 1 }],
      [`a2${one}01${one}02`, { one: 2 }],
      [`a3${one}01${two}02${one}03`, { one: 3, two: 2 }],
    ] as const
  ) {
    for (let i = 0; i < OFTEN; i++) {
      const bytes = Uint8Array.fromHex(hex);
      assertEquals(inOrder(readPlain(bytes, 0, bytes.length)), inOrder(expected), hex);
      assertEquals(inOrder(readInRing(bytes)), inOrder(expected), hex);
      comesBack(known);
    }
  }
});

test("Known objects that are cut off at any byte, or damaged in any, are nothing, or what cbor-x makes of them", () => {
  const value = {
    x: 1,
    id: 7,
    _id: 8,
    name: "isthmus",
    bytes: new Uint8Array([1, 2, 3]),
    longerName: { id: 1.5, tail: [1, 300] },
  };
  const bytes = written(value);
  let read = 0;
  for (let at = 0; at < bytes.length; at++) {
    assertEquals(readPlain(bytes, 0, at), NOT_PLAIN);
    assertEquals(readInRing(bytes, at), NOT_PLAIN, "whatever is behind it");
    for (let bit = 0; bit < 8; bit++) {
      comesBack(value);
      const damaged = bytes.slice();
      damaged[at]! ^= 1 << bit;
      const found = readPlain(damaged, 0, damaged.length);
      assertEquals(inOrder(readInRing(damaged)), inOrder(found), damaged.toHex());
      if (found === NOT_PLAIN) continue;
      read++;
      assertEquals(inOrder(found), inOrder(safeNumbers(rawDecode(damaged))), damaged.toHex());
    }
  }
  assert(read > 100, `${read} read`);
});

/** What the process has ever had resident, in MiB. */
function mostResident(): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(Deno.readTextFileSync("/proc/self/status"))![1]) / 1024;
}

/** Reads messages in which each of many levels claims as many properties as there could be; tells what that took. */
export async function readClaims({ to }: { to: IpcSender<number> }): Promise<void> {
  const bytes = new Uint8Array(1 << 20);
  const before = mostResident();
  for (const claim of ["b7", "b8ff", "b9ffff", "ba0007a120", "ba00ffffff", "ba7fffffff"]) {
    const level = Uint8Array.fromHex(`${claim}6161`);
    for (let at = 0, depth = 0; depth < 150; at += level.length, depth++) bytes.set(level, at);
    for (const size of [level.length, 1000, bytes.length]) assertEquals(readPlain(bytes, 0, size), NOT_PLAIN, claim);
  }
  await to.send(mostResident() - before);
}

processTest("Claims of more properties than there can be are refused, and take no memory", async ({ start }) => {
  const [to, from] = channel<number>();
  await start(import.meta.url, readClaims, { to });
  to.close();
  const grown = await soon(from.recv());
  assert(grown < 150, `${grown} MiB for messages of 1 MiB`);
  from.close();
});

test("A getter that adds, takes away or throws does no harm to the next object of that shape", () => {
  const plain = { first: 1, second: 2, third: 3 };
  for (let i = 0; i < OFTEN; i++) {
    comesBack(plain);
    const taking = {
      get first() {
        delete (this as Record<string, unknown>)["second"];
        return 1;
      },
      second: 2,
      third: 3,
    };
    const taken = written(taking);
    assertEquals(rawDecode(taken), { first: 1, third: 3 });
    const throwing = {
      first: 1,
      get second(): number {
        throw new Error("no");
      },
      third: 3,
    };
    let thrown = 0;
    try {
      written(throwing);
    } catch {
      thrown++;
    }
    assertEquals(thrown, 1);
    comesBack(plain);
  }
});

test("Arrays of numbers come back, however long", () => {
  for (const length of [0, 1, 23, 24, 1000, 10_000, 400_000]) {
    for (const unit of [1, 300, 70_000, 0.5]) {
      comesBack(Array.from({ length }, (_, i) => i % 5 === 0 ? [i] : i * unit));
      comesBack({ all: Array.from({ length }, (_, i) => -i * unit) }, `${length} times ${unit}`);
    }
  }
});

/** Run by itself with the garbage collector at hand; prints whether memory that was all message is still there. */
const KEEPS = `
  import { readPlain } from ${JSON.stringify(new URL("../../../cbor/plain_reader.ts", import.meta.url).href)};
  const bytes = Uint8Array.fromHex("a2636f6e65016374776f02"), ring = new Uint8Array(4096); // {"one":1,"two":2}
  ring.set(bytes, 64);
  const readRing = () => readPlain(ring, 64, 64 + bytes.length);
  const readOwn = () => {
    const own = bytes.slice();
    readPlain(own, 0, own.length);
    return new WeakRef(own);
  };
  for (let i = 0; i < ${OFTEN}; i++) readRing();
  const own = readOwn();
  readRing();
  await new Promise((resolve) => setTimeout(resolve, 0)); // until then a WeakRef holds what it refers to
  gc();
  console.log(own.deref() === undefined ? "gone" : "kept");
`;

processTest(
  "A message that was read from memory of its own does not keep that alive, whatever is read after it",
  async () => {
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--quiet", "--v8-flags=--expose-gc", KEEPS],
      stderr: "inherit",
    }).output();
    assertEquals(new TextDecoder().decode(stdout), "gone\n");
  },
);
