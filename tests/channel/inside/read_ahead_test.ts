// Messages that wait one behind the other, which the byte receiver copies out of the ring together.
import { assert, assertEquals } from "@std/assert";
import { ReadAhead } from "../../../channel/message/read_ahead.ts";
import { BLOCK } from "../../../channel/ring/layout.ts";
import type { RingConsumer } from "../../../channel/ring/consumer.ts";
import { bytesChannel, type IpcBytesReceiver, type IpcBytesSender } from "../../../mod.ts";
import type { Self } from "../../support/actor.ts";
import { patience } from "../../support/patience.ts";
import { processTest, test } from "../../support/test.ts";

/** Bytes of the `n`th message: some are copied together, some alone, some lie across the ring's end. */
const LENGTHS = [1000, 200, 1000, 5, 193, 4000, 300, 0, 1024, 16_384, 900, 900, 900, 900, 20_000, 250, 300_000];
const length = (n: number) => LENGTHS[n % LENGTHS.length]!;

/** The `n`th message, which no other is like. */
function message(n: number): Uint8Array {
  const bytes = new Uint8Array(length(n));
  for (let i = 0; i < bytes.length; i++) bytes[i] = (n * 7 + i * 31) >>> (i & 3);
  return bytes;
}

/** Sends as many messages, as fast as there is room. */
export function sendMessages({ to, count }: { to: IpcBytesSender; count: number }): void {
  for (let n = 0; n < count; n++) to.sendSync(message(n), { timeout: patience(20_000) });
}

type Way = (receiver: IpcBytesReceiver, n: number) => Uint8Array | Promise<Uint8Array>;

const options = { timeout: patience(20_000) };

/** Each gives bytes that are the test's own. */
const WAYS: Record<string, Way> = {
  recvSync: (receiver) => receiver.recvSync(options),
  recv: (receiver) => receiver.recv(options),
  recvInto: async (receiver, n) => {
    const memory = new Uint8Array(length(n));
    return memory.subarray(0, await receiver.recvInto(memory, options));
  },
  recvIntoSync: (receiver, n) => {
    const memory = new Uint8Array(length(n));
    return memory.subarray(0, receiver.recvIntoSync(memory, options));
  },
  borrowSync: (receiver) => {
    using borrowed = receiver.borrowSync(options);
    return borrowed.value.slice();
  },
};

/** A way for each message: the same for some time, then another. */
const PLANS: Record<string, (n: number) => string> = {
  "recvSync() alone": () => "recvSync",
  "recv() alone": () => "recv",
  "every way by turns": (n) => Object.keys(WAYS)[n % 5]!,
  "recvMany() and recvSync() by turns": (n) => n % 40 < 10 ? "recvMany" : "recvSync",
  "every way for a while": (n) => n % 3 === 0 ? Object.keys(WAYS)[Math.trunc(n / 30) % 5]! : "recvSync",
};

for (const [plan, way] of Object.entries(PLANS)) {
  // In the larger ring both sides go back to its first blocks; in the smaller one the longest messages have no room.
  for (const capacity of [1 << 18, 1 << 20]) {
    processTest(
      `Messages of all lengths come whole and in order through ${capacity} bytes by ${plan}`,
      async ({ start }) => {
        const COUNT = 1500;
        const [to, receiver] = bytesChannel({ capacity });
        using _receiver = receiver;
        const child = await start(import.meta.url, sendMessages, { to, count: COUNT });
        to.close();
        const kept: Uint8Array[] = [];
        while (kept.length < COUNT) {
          const n = kept.length;
          if (way(n) === "recvMany") kept.push(...receiver.recvMany());
          if (kept.length === n) kept.push(await (WAYS[way(n)] ?? WAYS.recv!)(receiver, n)); // also if there were none
        }
        // At the end, when what they were copied from has been used again many times.
        for (const [n, bytes] of kept.entries()) {
          const expected = message(n);
          assert(bytes.length === expected.length && bytes.every((byte, i) => byte === expected[i]), `message ${n}`);
        }
        assertEquals((await child.status).code, 0);
      },
    );
  }
}

/** A ring whose next message has so many blocks, with so many committed from there on. */
function ringAt(position: number, blocks: number, committed: number): RingConsumer {
  const data = new Uint8Array(1024 * BLOCK).fill(position & 255);
  const length = blocks * BLOCK;
  return {
    position: position | 0,
    blocks,
    length,
    offset: 0,
    memory: { data },
    committed: () => committed,
  } as unknown as RingConsumer;
}

for (const first of [0, 2 ** 31 - 8, 2 ** 32 - 8]) {
  test(`What was copied at position ${first} is the next messages, where they begin, and no others`, () => {
    const taken = (position: number, blocks: number, committed = blocks) =>
      ahead.take(ringAt(position, blocks, committed));
    let ahead = new ReadAhead();
    assertEquals(taken(first, 4, 40), new Uint8Array(4 * BLOCK).fill(first & 255));
    assertEquals(taken(first + 4, 6), new Uint8Array(6 * BLOCK).fill(first & 255), "of the same copy");
    assertEquals(taken(first + 10, 30), new Uint8Array(30 * BLOCK).fill(first & 255), "up to its end");
    assertEquals(taken(first + 10, 4), undefined, "then it is gone");
    ahead = new ReadAhead();
    taken(first, 4, 40);
    assertEquals(taken(first + 36, 5), undefined, "longer than what was copied");
    assertEquals(taken(first + 4, 6), undefined, "forgotten once one was not among it");
    ahead = new ReadAhead();
    taken(first, 4, 40);
    assertEquals(taken(first - 4, 4), undefined, "before it");
    ahead = new ReadAhead();
    taken(first, 4, 40);
    ahead.pass();
    assertEquals(taken(first + 4, 6), undefined, "forgotten when a message went another way");
    assertEquals(taken(first + 10, 4, 40), undefined, "and not done again at once");
  });
}

test("Messages that share memory are each the receiver's own, and outlive one whose memory is given away", () => {
  const [sender, receiver] = bytesChannel();
  for (let n = 0; n < 40; n++) sender.sendSync(new Uint8Array(1000).fill(n));
  const first = receiver.recvSync(), second = receiver.recvSync();
  assert(first.buffer === second.buffer && first.buffer.byteLength <= 65_536, "they share it");
  first.fill(255);
  assertEquals(second, new Uint8Array(1000).fill(1));
  second.fill(255);
  (first.buffer as ArrayBuffer).transfer();
  assertEquals([first.length, second.length], [0, 0], "as with Node's small Buffers");
  for (let n = 2; n < 40; n++) assertEquals(receiver.recvSync(), new Uint8Array(1000).fill(n));
  assertEquals(receiver.tryRecv(), { state: "empty" });
  sender.close(), receiver.close();
});

/** Receives while there is memory for nothing large, and says what came. */
export function receiveWithLittleMemory({ from }: { from: IpcBytesReceiver }, self: Self): void {
  // An address space that is full ends Deno, which starts threads at any time.
  globalThis.ArrayBuffer = new Proxy(ArrayBuffer, {
    construct(buffer, [length]: [number]) {
      if (length > 1 << 20) throw new RangeError("Array buffer allocation failed");
      return new buffer(length);
    },
  });
  self.say(from.recvMany().map(({ length, [0]: first }) => [length, first]));
}

processTest("Without memory for what makes receiving faster, messages are received", async ({ start }) => {
  for (const length of [300, 40_000]) {
    const [sender, from] = bytesChannel();
    for (let n = 0; n < 20; n++) sender.sendSync(new Uint8Array(length).fill(n));
    const child = await start(import.meta.url, receiveWithLittleMemory, { from });
    assertEquals(await child.said(), Array.from({ length: 20 }, (_, n) => [length, n]));
    assertEquals((await child.status).code, 0);
    sender.close();
  }
});

test("A message of more than 32 KiB has memory of its own, whatever it waited behind", () => {
  const [sender, receiver] = bytesChannel();
  for (const length of [200, 200, 200, 200, 33_000, 200]) sender.sendSync(new Uint8Array(length).fill(7));
  for (const { buffer, length } of receiver.recvMany()) assert(length === 200 || buffer.byteLength === length);
  sender.close(), receiver.close();
});

test("What is sent after a copy of those that waited is received behind them", () => {
  const [sender, receiver] = bytesChannel({ capacity: 65_536 });
  let sent = 0, received = 0;
  for (let round = 0; round < 500; round++) {
    while (sender.trySend(new Uint8Array(300 + sent % 500).fill(sent))) sent++;
    for (let i = 0; i <= round % 70; i++) {
      const bytes = receiver.recvSync({ timeout: 0 });
      assert(bytes.length === 300 + received % 500 && bytes.every((byte) => byte === received % 256), `${received}`);
      received++;
    }
  }
  sender.close(), receiver.close();
});
