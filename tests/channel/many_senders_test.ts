import { assertEquals } from "@std/assert";
import { bytesChannel, channel, type IpcBytesSender, type IpcSender } from "../../mod.ts";
import { processTest } from "../support/test.ts";
import { patience } from "../support/patience.ts";

const SENDERS = 4;

interface Job<Sender> {
  readonly sender: Sender;
  readonly id: number;
  readonly count: number;
}

/** Sends records of changing length that begin with the sender and a number. */
export function sendBytes({ sender, id, count }: Job<IpcBytesSender>): void {
  const buffer = new Uint8Array(512);
  const words = new Uint32Array(buffer.buffer);
  words[0] = id;
  for (let n = 0; n < count; n++) {
    words[1] = n;
    const length = 8 + (n * 7 + id) % 90; // one block or two, so that records meet the end of the ring everywhere
    buffer[length - 1] = length > 8 ? n : buffer[length - 1]!;
    sender.sendSync(buffer.subarray(0, length));
  }
  sender.close();
}

export async function sendValues({ sender, id, count }: Job<IpcSender<[number, number, string]>>): Promise<void> {
  for (let n = 0; n < count; n++) {
    // Every way of sending, mixed: order holds between them.
    if (n % 3 === 0) sender.sendSync([id, n, "x".repeat(n % 200)]);
    else if (n % 3 === 1) void sender.send([id, n, "x".repeat(n % 200)]).catch(() => {});
    else if (!sender.trySend([id, n, "x".repeat(n % 200)])) await sender.send([id, n, "x".repeat(n % 200)]);
  }
  await sender.sendWhenEmpty([id, count, ""]);
  sender.close();
}

for (const capacity of [65_536, undefined]) {
  const ring = capacity === undefined
    ? "a ring of the default size"
    : "the smallest ring, which is full and wraps often";

  processTest(`Messages of 4 processes × 250,000 arrive once and in order through ${ring}`, async ({ start }) => {
    const count = 250_000;
    const [sender, receiver] = bytesChannel(capacity === undefined ? {} : { capacity });
    for (let id = 0; id < SENDERS; id++) await start(import.meta.url, sendBytes, { sender, id, count });
    sender.close();

    const next = new Array<number>(SENDERS).fill(0);
    for (let received = 0; received < SENDERS * count; received++) {
      const bytes = receiver.recvSync({ timeout: patience(30_000) });
      const words = new Uint32Array(bytes.buffer, bytes.byteOffset, 2);
      const id = words[0]!, n = words[1]!;
      // Plain comparisons: a million of assertions would take longer than the messages.
      if (n !== next[id]) throw new Error(`Sender ${id}: message ${n} where ${next[id]} was due`);
      const length = 8 + (n * 7 + id) % 90;
      if (bytes.length !== length || (length > 8 && bytes[length - 1] !== (n & 255))) {
        throw new Error(
          `Sender ${id}: message ${n} arrived with ${bytes.length} bytes instead of ${length}, or damaged`,
        );
      }
      next[id]!++;
    }
    assertEquals(next, new Array(SENDERS).fill(count));
    assertEquals(receiver.recvMany(), []);
    assertEquals(await Promise.race([receiver.recv().catch((error) => error.code)]), "Disconnected");
    receiver.close();
  });

  processTest(`Values sent in every way by 4 processes arrive once and in order through ${ring}`, async ({ start }) => {
    const count = 20_000;
    const [sender, receiver] = channel<[number, number, string]>(capacity === undefined ? {} : { capacity });
    for (let id = 0; id < SENDERS; id++) await start(import.meta.url, sendValues, { sender, id, count });
    sender.close();

    const next = new Array<number>(SENDERS).fill(0);
    for await (const [id, n, text] of receiver) {
      if (n !== next[id]) throw new Error(`Sender ${id}: message ${n} where ${next[id]} was due`);
      if (n < count && text !== "x".repeat(n % 200)) throw new Error(`Sender ${id}: message ${n} is damaged`);
      next[id]!++;
    }
    assertEquals(next, new Array(SENDERS).fill(count + 1));
    receiver.close();
  });
}
