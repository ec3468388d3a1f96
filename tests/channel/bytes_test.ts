import { assert, assertEquals } from "@std/assert";
import { bytesChannel, channel, type IpcBytesReceiver, type IpcBytesSender } from "../../mod.ts";
import { soon } from "../support/assert_ipc.ts";
import { patience } from "../support/patience.ts";
import { processTest, test } from "../support/test.ts";

const CAPACITY = 65_536;

/** Bytes that differ from those of any other length, and from each other. */
function pattern(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + length) >>> (i & 3);
  return bytes;
}

const SIZES = [0, 1, 2, 3, 63, 64, 65, 127, 128, 191, 192, 193, 1000, 2047, 2048, 2049, 4096, 32_767, 65_535];

test("A bytes channel carries byte strings of every size as they are", () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  for (const size of [...SIZES, CAPACITY - 32, CAPACITY - 1, CAPACITY, CAPACITY + 1, 1_000_003]) {
    const bytes = pattern(size);
    sender.sendSync(bytes, { timeout: patience(10_000) });
    const received = receiver.recvSync({ timeout: 0 });
    assertEquals(received.length, size);
    assert(received instanceof Uint8Array && received.every((byte, i) => byte === bytes[i]), `${size} bytes`);
  }
  sender.close(), receiver.close();
});

test("A bytes channel carries views on part of a buffer, and Node's Buffer", () => {
  const [sender, receiver] = bytesChannel();
  const all = pattern(1000);
  for (const [from, to] of [[0, 10], [1, 2], [3, 803], [999, 1000], [500, 500]] as const) {
    sender.sendSync(all.subarray(from, to));
    assertEquals(receiver.recvSync({ timeout: 0 }), all.slice(from, to));
  }
  sender.close(), receiver.close();
});

test("Received byte strings are the receiver's own: writing to one changes no other", () => {
  const [sender, receiver] = bytesChannel();
  for (const size of [5, 100, 3000, 70_000]) {
    sender.sendSync(pattern(size)), sender.sendSync(pattern(size)), sender.sendSync(pattern(size + 1));
    const [first, second, third] = receiver.recvMany();
    first!.fill(255);
    assertEquals(second, pattern(size));
    second!.fill(255);
    assertEquals(third, pattern(size + 1));
  }
  sender.close(), receiver.close();
});

test("A message exactly as large as the ring needs it empty, a larger one travels beside it", () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  sender.sendSync(pattern(1));
  assert(!sender.trySend(pattern(CAPACITY)));
  assert(sender.trySend(pattern(CAPACITY + 1)));
  assertEquals(receiver.recvMany(), [pattern(1), pattern(CAPACITY + 1)]);
  assert(sender.trySend(pattern(CAPACITY)));
  assertEquals(receiver.recvMany(), [pattern(CAPACITY)]);
  sender.close(), receiver.close();
});

test("Values larger than the ring arrive in order among small ones", async () => {
  const [sender, receiver] = channel<{ n: number; payload: Uint8Array | string }>({ capacity: CAPACITY });
  const payload = (n: number) => n % 3 === 0 ? "é".repeat(100_000 + n) : pattern(n % 3 === 1 ? 300_000 + n : n);
  const received: number[] = [];
  const sending = (async () => {
    for (let n = 0; n < 60; n++) await sender.send({ n, payload: payload(n) });
    sender.close();
  })();
  for await (const message of receiver) {
    received.push(message.n);
    assertEquals(message.payload, payload(message.n));
  }
  await soon(sending);
  assertEquals(received, Array.from({ length: 60 }, (_, n) => n));
  receiver.close();
});

/** Sends back what comes, with every byte turned over. */
export function invert({ from, to }: { from: IpcBytesReceiver; to: IpcBytesSender }): void {
  for (;;) {
    const bytes = from.recvSync({ timeout: patience(20_000) });
    if (bytes.length === 0) break;
    for (let i = 0; i < bytes.length; i++) bytes[i]! ^= 255;
    to.sendSync(bytes);
  }
}

processTest("Messages of up to 20 MB pass between processes through a ring of 64 KiB", async ({ start }) => {
  const [sender, from] = bytesChannel({ capacity: CAPACITY });
  const [to, receiver] = bytesChannel({ capacity: CAPACITY });
  const child = await start(import.meta.url, invert, { from, to });
  to.close();
  for (const size of [1, 65_536, 65_537, 1 << 20, 20_000_001]) {
    const bytes = pattern(size);
    await sender.send(bytes);
    const answer = await soon(receiver.recv());
    assertEquals(answer.length, size);
    assert(answer.every((byte, i) => byte === (bytes[i]! ^ 255)));
  }
  await sender.send(new Uint8Array(0));
  assertEquals((await child.status).code, 0);
  sender.close(), receiver.close();
});

processTest("The memory of messages larger than the ring is given back", async () => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  assertEquals(receiver.tryRecv(), { state: "empty" }); // in use from here on
  const before = [...Deno.readDirSync("/proc/self/fd")].length;
  for (let n = 0; n < 50; n++) {
    await sender.send(new Uint8Array(200_000));
    assertEquals(receiver.recvSync({ timeout: 0 }).length, 200_000);
  }
  assert([...Deno.readDirSync("/proc/self/fd")].length <= before + 1);
  sender.close(), receiver.close();
});

test("Empty messages are received, though the program took the memory of an earlier one away", () => {
  const [sender, receiver] = bytesChannel();
  for (const content of [[], [], [1], [], [], [2, 3], []]) {
    sender.sendSync(new Uint8Array(content));
    const received = receiver.recvSync();
    assertEquals([...received], content);
    (received.buffer as ArrayBuffer).transfer();
  }
  sender.close(), receiver.close();
});
