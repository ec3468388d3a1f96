// Messages of every size, between processes.
import { assert, assertEquals } from "@std/assert";
import {
  bytesChannel,
  channel,
  type IpcBytesReceiver,
  type IpcBytesSender,
  type IpcReceiver,
  type IpcSender,
} from "../../mod.ts";
import { soon } from "../support/assert_ipc.ts";
import { processTest, test } from "../support/test.ts";

const RING = 1 << 20;
const MB = 1 << 20;

/** Sends every byte string back. */
export async function echoBytes({ from, to }: { from: IpcBytesReceiver; to: IpcBytesSender }): Promise<void> {
  for await (const bytes of from) await to.send(bytes);
}

/** Bytes that differ from place to place and from message to message. */
function pattern(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const words = new Uint32Array(bytes.buffer, 0, length >>> 2);
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + length, 2_654_435_761);
  for (let i = words.length * 4; i < length; i++) bytes[i] = i;
  return bytes;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

processTest(
  "Byte strings from empty to 50 MiB, around the size of the ring among them, come back as they were",
  async ({ start }) => {
    const [one, first] = bytesChannel({ capacity: RING });
    const [two, second] = bytesChannel({ capacity: RING });
    await start(import.meta.url, echoBytes, { from: first, to: two });
    two.close();
    const sizes = [
      0,
      1,
      2,
      3,
      63,
      64,
      65,
      1001,
      4095,
      4097,
      65_535,
      65_537,
      RING - 1,
      RING,
      RING + 1,
      3 * RING,
      50 * MB,
    ];
    for (const size of sizes) {
      const bytes = pattern(size);
      await one.send(bytes);
      assert(same(await soon(second.recv()), bytes), `${size} bytes`);
    }
    one.close(), second.close();
  },
);

/** Sends every value back. */
export async function echo({ from, to }: { from: IpcReceiver<unknown>; to: IpcSender<unknown> }): Promise<void> {
  for await (const value of from) await to.send(value);
}

/** Says how long a byte string is, and what it sums up to. */
export async function echoLength(
  { from, to }: { from: IpcReceiver<Uint8Array>; to: IpcSender<[number, number]> },
): Promise<void> {
  for await (const bytes of from) {
    let sum = 0;
    for (let i = 0; i < bytes.length; i++) sum += bytes[i]!;
    await to.send([bytes.length, sum]);
  }
}

processTest("What structuredClone() takes comes back from another process the same", async ({ start }) => {
  const [one, first] = channel<unknown>();
  const [two, second] = channel<unknown>();
  await start(import.meta.url, echo, { from: first, to: two });
  two.close();
  const cycle: Record<string, unknown> = { name: "cycle" };
  cycle.self = cycle;
  const values = [
    "",
    "x".repeat(70_001),
    [undefined, null, true, -0, NaN, Infinity, 2 ** 53, 1.5],
    2n ** 200n,
    -(2n ** 64n),
    new Map<unknown, unknown>([["a", 1], [{ key: 1 }, new Set([1, "2"])]]),
    new Date(1e12),
    /a+b/gi,
    new Uint16Array([1, 2, 3]),
    new Float64Array([1.5, NaN]),
    new Uint8Array([9, 8]).buffer,
    { deep: [{ deeper: { deepest: new Uint8Array(100_000).fill(3) } }] },
  ];
  for (const value of values) {
    await one.send(value);
    assertEquals(await soon(second.recv()), structuredClone(value));
  }
  await one.send([-0, cycle]);
  const [zero, back] = await soon(second.recv()) as [number, typeof cycle];
  assert(Object.is(zero, -0));
  assert(back.self === back && back.name === "cycle");
  await one.send(new RangeError("too far"));
  const error = await soon(second.recv()) as Error;
  assert(error instanceof RangeError && error.message === "too far");
  one.close(), second.close();
});

/** Sends messages of one byte value, larger than the ring and smaller, by turns. */
export function sendLarge({ sender, mark }: { sender: IpcSender<Uint8Array>; mark: number }): void {
  for (let n = 0; n < 20; n++) {
    const bytes = new Uint8Array(n % 2 === 0 ? 3 * MB : 400_000).fill(mark);
    bytes[0] = n;
    sender.sendSync(bytes);
  }
  sender.close();
}

processTest(
  "Large messages of three processes at once are never mixed up, and each sender's keep their order",
  async ({ start }) => {
    const [sender, receiver] = channel<Uint8Array>({ capacity: RING });
    const children = await Promise.all(
      [1, 2, 3].map((n) => start(import.meta.url, sendLarge, { sender, mark: 100 + n })),
    );
    sender.close();
    const next = new Map([[101, 0], [102, 0], [103, 0]]);
    for await (const bytes of receiver) {
      const mark = bytes[1]!, n = bytes[0]!;
      assertEquals(n, next.get(mark));
      assertEquals(bytes.length, n % 2 === 0 ? 3 * MB : 400_000);
      assert(bytes.subarray(1).every((byte) => byte === mark), "one sender's bytes only");
      next.set(mark, n + 1);
    }
    assertEquals([...next.values()], [20, 20, 20]);
    for (const child of children) assertEquals((await child.status).code, 0);
    receiver.close();
  },
);

test("tryRecv() tells empty from disconnected, also with the last message still queued", () => {
  const [sender, receiver] = channel<number>();
  const clone = sender.clone();
  assertEquals(receiver.tryRecv(), { state: "empty" });
  sender.close();
  assertEquals(receiver.tryRecv(), { state: "empty" });
  clone.sendSync(1);
  clone.close();
  assertEquals(receiver.tryRecv(), { state: "message", value: 1 });
  assertEquals(receiver.tryRecv(), { state: "disconnected" });
  assertEquals(receiver.tryRecv(), { state: "disconnected" });
  receiver.close();
});
