// Looking at cells and named channels without attaching, while others are at work and when the memory is damaged.
import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import {
  array,
  bool,
  bytes,
  f64,
  IpcArc,
  IpcError,
  IpcReceiver,
  IpcSender,
  struct,
  u32,
  u64,
  u8,
} from "../../../mod.ts";
import { CellPeek } from "../../../arc/inspect/mod.ts";
import { fingerprint, type Layout } from "../../../arc/layout/layout.ts";
import { readLayout } from "../../../arc/inspect/layout_text.ts";
import { openRingFile } from "../../../channel/named/file.ts";
import { W_COMMIT, W_TAIL } from "../../../channel/ring/layout.ts";
import { RingPeek } from "../../../channel/named/peek.ts";
import { decodeCbor } from "../../../cbor/mod.ts";
import type { Self } from "../../support/actor.ts";
import { damage } from "../../support/damage.ts";
import { folderTest } from "../../support/folder.ts";
import { Random } from "../../support/open_channel.ts";
import { processTest, test } from "../../support/test.ts";

const SMALL = 65_536;

/** What waits at a path, decoded. */
function waiting(path: string): unknown[] {
  using ring = RingPeek.open(path)!;
  const values: unknown[] = [];
  const { messages, damage } = ring.backlog();
  assertEquals(damage, undefined);
  for (const message of messages) {
    const found = ring.read(message);
    if (found !== undefined) values.push(decodeCbor(found));
  }
  return values;
}

folderTest("A look at a channel finds what waits in it, in order, and takes nothing", ({ channel: path }) => {
  using receiver = IpcReceiver.create<unknown>(path, { capacity: SMALL });
  using sender = IpcSender.open<unknown>(path);
  assertEquals(waiting(path), []);
  const values = ["a", new Uint8Array(20_000).fill(7), { n: 1 }, new Uint8Array(30_000).fill(8)];
  // Round and round, so that records are padded, and reach over the end of the memory.
  for (let round = 0; round < 10; round++) {
    for (const value of values) sender.sendSync(value);
    assertEquals(waiting(path), values);
    assertEquals(receiver.recvSync(), values[0]);
    assertEquals(waiting(path), values.slice(1));
    assertEquals(receiver.recvMany(), values.slice(1));
    assertEquals(waiting(path), []);
  }
});

folderTest("A look at a channel tells a message that is borrowed from one that waits", ({ channel: path }) => {
  using receiver = IpcReceiver.create<unknown>(path);
  using sender = IpcSender.open<unknown>(path);
  sender.sendSync(1), sender.sendSync(2);
  using _borrowed = receiver.borrowSync();
  assertEquals(waiting(path), [2]);
});

folderTest("A look at a channel steps over what a sender has claimed and not finished", ({ channel: path }) => {
  using sender = IpcSender.open<unknown>(path);
  sender.sendSync(1);
  {
    const file = openRingFile(path, {});
    Atomics.add(file.memory.words, W_TAIL, 3);
    file.memory.release();
    for (const fd of [file.bell, file.room, file.lock]) fd.close();
  }
  sender.sendSync(2);
  using ring = RingPeek.open(path)!;
  const { messages, unfinished, damage } = ring.backlog();
  assertEquals([messages.length, unfinished, damage], [2, 3, undefined]);
});

/** Sends numbers to itself without end, in a small ring. */
export function talkToItself({ path }: { path: string }, self: Self): void {
  using receiver = IpcReceiver.create<unknown>(path, { capacity: SMALL });
  using sender = IpcSender.open<unknown>(path);
  self.say("ready");
  for (let n = 0;;) {
    for (let i = n % 13; i >= 0; i--, n++) sender.sendSync([n, "x".repeat(n % 700)]);
    receiver.recvMany(n % 5 + 4);
    if (n % 97 === 0) receiver.recvMany();
  }
}

folderTest(
  "A look at a busy channel sees whole messages, one after the other",
  async ({ channel: path }, { start }) => {
    const busy = await start(import.meta.url, talkToItself, { path });
    assertEquals(await busy.said(), "ready");
    let seen = 0, last = -1;
    for (let look = 0; look < 300; look++) {
      const values = waiting(path) as [number, string][];
      for (const [i, [n, text]] of values.entries()) {
        assertStrictEquals(text, "x".repeat(n % 700));
        // One that is received between the looks at its neighbours is left out.
        if (i > 0) assert(n > values[i - 1]![0], `${n} after ${values[i - 1]![0]}`);
      }
      if (values.length > 0) {
        assert(values[0]![0] >= last, "it never goes back");
        last = values[0]![0];
      }
      seen += values.length;
    }
    assert(seen > 50, `only ${seen} messages were seen`);
  },
);

folderTest("What is received while somebody looks, and overwritten a lap later, is no damage", ({ channel: path }) => {
  using receiver = IpcReceiver.create<unknown>(path, { capacity: SMALL });
  using sender = IpcSender.open<unknown>(path);
  using ring = RingPeek.open(path)!;
  const counters = ring.counters.bind(ring);
  const random = new Random(7);
  let n = 0, looks = 0;
  const send = () => sender.sendSync([n++, "x".repeat(random.below(700))]);
  // Between the look at the positions and that at the records, the channel moves on.
  ring.counters = () => {
    const found = counters();
    if (looks++ % 2 === 0) {
      for (let moves = random.below(400); moves > 0; moves--) {
        receiver.tryRecv();
        send();
      }
    }
    return found;
  };
  for (let i = 0; i < 60; i++) send();
  for (let round = 0; round < 300; round++) {
    const { messages, damage } = ring.backlog();
    assertEquals(damage, undefined);
    const { read, tail } = counters();
    for (const { position } of messages) assert(((position - read) | 0) >= 0 && ((tail - position) | 0) > 0);
  }
});

folderTest("Damage of a channel is found by who looks, and never a crash, 20,000 times", ({ channel: path }) => {
  let damaged = 0, whole = 0;
  for (let round = 0; round < 200; round++) {
    const random = new Random(round + 1);
    using sender = IpcSender.open<unknown>(path);
    for (let i = 0; i < 5; i++) sender.sendSync({ i, text: "x".repeat(random.below(300)) });
    const file = openRingFile(path, {});
    try {
      for (let i = 0; i < 100; i++) {
        damage(file.memory, random);
        try {
          using ring = RingPeek.open(path)!;
          const backlog = ring.backlog();
          ring.endpoints();
          if (backlog.damage !== undefined) damaged++;
          for (const message of backlog.messages.slice(0, 50)) {
            const found = ring.read(message);
            if (found === undefined) continue;
            assertEquals(found.length, message.length);
            try {
              decodeCbor(found);
              whole++;
            } catch (error) {
              if ((error as IpcError).code !== "Serialization") throw error;
            }
          }
        } catch (error) {
          if (!(error instanceof IpcError)) throw error;
        }
      }
    } finally {
      file.memory.release();
      for (const fd of [file.bell, file.room, file.lock]) fd.close();
      sender.close();
      for (const suffix of ["", ".bell", ".room"]) Deno.removeSync(path + suffix);
    }
  }
  assert(damaged > 100 && whole > 100, `${damaged} damaged, ${whole} whole`);
});

folderTest(
  "A file that is cut short while somebody looks at it reads as zeros, and is no crash",
  ({ channel: path }) => {
    const sender = IpcSender.open<unknown>(path);
    sender.sendSync(new Uint8Array(100));
    sender.close();
    using ring = RingPeek.open(path)!;
    const [message] = ring.backlog().messages;
    Deno.truncateSync(path, W_COMMIT * 4);
    assertEquals(ring.backlog().messages, []); // zeros
    assertEquals(ring.read(message!)?.length, 102);
  },
);

// --- Cells ---------------------------------------------------------------------------------------------------------

processTest("A look at a cell reads its value and changes nothing", () => {
  const name = `peek-${crypto.randomUUID()}`;
  using cell = IpcArc.create<unknown>(name, { a: 1n });
  using guard = cell.acquireSync(); // who looks needs no lock
  using peek = CellPeek.open(name)!;
  assertEquals(peek.value(), { a: 1n });
  guard.value = ["changed"];
  assertEquals(peek.value(), { a: 1n });
  guard.release();
  assertEquals(peek.value(), ["changed"]);
  assertEquals([peek.header().changeCounter, peek.info().references, cell.refCount], [2, 1, 1]);
});

test("A look at a cell with a layout reads its value by the text of the layout", () => {
  const cases: [Layout<unknown>, unknown][] = [
    [u8, 200],
    [u64, 1n << 63n],
    [bool, true],
    [bytes(3), new Uint8Array([1, 2, 3])],
    [array(bool, 2), [true, false]],
    [struct({ 'odd "name"': f64, in: array(struct({ x: u32, y: array(u64, 2) }), 2) }), {
      'odd "name"': 0.5,
      in: [{ x: 1, y: new BigUint64Array([2n, 3n]) }, { x: 4, y: new BigUint64Array([5n, 6n]) }],
    }],
  ];
  for (const [layout, value] of cases) {
    const name = `peek-${crypto.randomUUID()}`;
    using _cell = IpcArc.create(name, value, { layout });
    using peek = CellPeek.open(name)!;
    assertEquals(peek.value(), value);
  }
});

test("readLayout() takes the texts of layouts, with their fingerprint and size, and nothing else", () => {
  const read = (text: string, size: number) => readLayout(text, fingerprint(text), size);
  const text = '{"a":u32,"b":[2]i64}';
  assertEquals(read(text, 24)!.layout.description, text);
  assertEquals(read(text, 24)!.fit({ a: 1, b: [2, 3n] }), { a: 1, b: [2n, 3n] });
  assertThrows(() => read(text, 24)!.fit({ c: 4 }), TypeError, 'no field "c", but a,b');
  assertEquals(read(text, 25), undefined);
  assertEquals(readLayout(text, 1n, 24), undefined);
  const wrong = [
    ["", 0],
    ["u33", 4],
    ["toString", 4],
    ["u32 ", 4],
    ["[0]u8", 0],
    ["[2]", 2],
    ["{}", 0],
    ['{"a":u8', 1],
    ['{"a":u8,"a":u8}', 2],
    ['{"__proto__":u8}', 1],
    ["[9999999999][9999999999]u8", 1],
    ["[1]".repeat(20_000) + "u8", 1],
  ] as const;
  for (const [text, size] of wrong) assertEquals(read(text, size), undefined, text.slice(0, 40));
});

processTest("Damage of a cell is an error of who looks at it, and never a crash, 6,000 times", () => {
  const name = `peek-${crypto.randomUUID()}`, file = `/dev/shm/isthmus.${name}`;
  using _cell = IpcArc.create<unknown>(name, { n: 1, text: "x".repeat(300), list: [1, 2n, new Date(0)] });
  const pod = `${name}-pod`;
  using _pod = IpcArc.create(pod, { n: 1, list: [1, 2] as unknown as Float64Array }, {
    layout: struct({ n: u32, list: array(f64, 2) }),
  });
  const random = new Random(7);
  const codes = new Set<string>();
  let whole = 0;
  for (const damagedName of [name, pod]) {
    const original = Deno.readFileSync(damagedName === name ? file : `${file}-pod`);
    const copyName = `${damagedName}-copy`, copyFile = `/dev/shm/isthmus.${copyName}`;
    try {
      for (let round = 0; round < 3000; round++) {
        const changed = original.slice(0, 10_000 - random.below(2) * random.below(9000));
        for (let i = random.below(4); i >= 0; i--) {
          const at = random.below(2) === 0 ? random.below(192) : 8384 + random.below(200);
          if (at >= 8 && at < changed.length) changed[at] = random.below(256);
        }
        Deno.writeFileSync(copyFile, changed);
        try {
          using peek = CellPeek.open(copyName)!;
          peek.info();
          peek.header();
          peek.value();
          whole++;
        } catch (error) {
          if (!(error instanceof IpcError)) throw error;
          codes.add(error.code);
        }
      }
    } finally {
      Deno.removeSync(copyFile);
    }
  }
  assert(codes.has("Corrupt") && codes.has("Incompatible") && whole > 100, `${[...codes]}, ${whole} whole`);
});
