// A burst fills a large ring; once it is drained its memory goes back to the system.
import { assert, assertEquals } from "@std/assert";
import { bytesChannel, channel, type IpcBytesSender, type IpcReceiver, IpcReceiverSet } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcError, soon } from "../support/assert_ipc.ts";
import { patience } from "../support/patience.ts";
import { processTest } from "../support/test.ts";

const MB = 1 << 20;

/** Bytes of memory that all rings of this process take. */
function ringMemory(): number {
  const files = new Map<number, number>();
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      const path = `/proc/self/fd/${name}`;
      if (!Deno.readLinkSync(path).startsWith("/memfd:isthmus-ring")) continue;
      const { ino, blocks } = Deno.statSync(path);
      files.set(ino!, blocks! * 512);
    } catch {
      // the descriptor of this very listing
    }
  }
  return [...files.values()].reduce((sum, bytes) => sum + bytes, 0);
}

const BIG = 300 * MB;

/** Fills a ring of 1 GiB with hundreds of MiB. */
export function fill({ sender }: { sender: IpcBytesSender }): void {
  const message = new Uint8Array(MB);
  for (let n = 0; n < BIG / MB; n++) {
    message.fill(n);
    if (!sender.trySend(message)) throw new Error("the ring is full");
  }
  sender.close();
}

processTest("A channel of 1 GiB takes what is in it, and gives it back when it is drained", async ({ start }) => {
  const [sender, receiver] = bytesChannel({ capacity: 1024 * MB });
  assertEquals(receiver.capacity, 1024 * MB); // it has its ring, here
  const idle = ringMemory();
  assert(idle < 2 * MB, `${idle} bytes for an unused ring`);
  const child = await start(import.meta.url, fill, { sender });
  await child.status;
  assert(ringMemory() >= BIG, `only ${ringMemory()} bytes`);
  for (let n = 0; n < BIG / MB; n++) {
    using borrowed = receiver.borrowSync({ timeout: patience(10_000) });
    assert(borrowed.value.length === MB && borrowed.value[0] === n % 256 && borrowed.value[MB - 1] === n % 256);
  }
  assertEquals(receiver.tryRecv(), { state: "empty" });
  assert(ringMemory() < 16 * MB, `${ringMemory()} bytes are still taken`);
  // It goes on as before.
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < 50; n++) sender.sendSync(new Uint8Array(MB).fill(n), { timeout: 0 });
    for (let n = 0; n < 50; n++) {
      const bytes = await soon(receiver.recv());
      assert(bytes[0] === n && bytes[MB - 1] === n);
    }
  }
  // The second time not at once, as memory has to be faulted in again, but while it waits.
  await assertIpcError("Timeout", () => receiver.recv({ timeout: 1500 }));
  assert(ringMemory() < 16 * MB, `${ringMemory()} bytes are still taken after the wait`);
  sender.close();
  await assertIpcError("Disconnected", () => receiver.recv());
  receiver.close();
});

/** Memory that a process has touched and the system has not taken back, in bytes: all of it, and that of shared files. */
function resident(pid: number): { all: number; shared: number } {
  const text = Deno.readTextFileSync(`/proc/${pid}/status`);
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+([0-9]+) kB$`, "m").exec(text)![1]) * 1024;
  return { all: bytes("VmRSS"), shared: bytes("RssShmem") };
}

/** Fills the ring when it is told to, and stays. */
export function fillAndStay({ sender }: { sender: IpcBytesSender }, self: Self): void {
  for (let round = self.hear<number>(); round > 0; round = self.hear<number>()) {
    const message = new Uint8Array(MB).fill(round);
    let sent = 0;
    while (sent < BIG / MB && sender.trySend(message)) sent++;
    self.say(sent);
  }
  sender.close();
}

processTest("After a burst both processes are as large as before it", async ({ start }) => {
  const [sender, receiver] = bytesChannel({ capacity: 1024 * MB });
  assertEquals(receiver.capacity, 1024 * MB); // it has its ring, here
  const child = await start(import.meta.url, fillAndStay, { sender });
  sender.close();
  const processes = [["sender", child.pid], ["receiver", Deno.pid]] as const;
  for (let round = 1; round <= 2; round++) {
    const before = new Map(processes.map(([name, pid]) => [name, resident(pid)]));
    await child.tell(round);
    assertEquals(await child.said(), BIG / MB);
    assert(resident(child.pid).shared > before.get("sender")!.shared + 0.9 * BIG, "the sender has not filled it");
    assert(ringMemory() > 0.9 * BIG, `only ${ringMemory()} bytes`);
    for (let n = 0; n < BIG / MB; n++) {
      using borrowed = receiver.borrowSync({ timeout: patience(10_000) });
      assert(borrowed.value[0] === round && borrowed.value[MB - 1] === round);
    }
    await assertIpcError("Timeout", () => receiver.recv({ timeout: 1500 }));
    for (const [name, pid] of processes) {
      const now = resident(pid), then = before.get(name)!;
      assert(now.shared < then.shared + BIG / 10, `the ${name} holds ${now.shared} bytes of shared memory`);
      assert(now.all < then.all + BIG / 3, `the ${name} has ${now.all} bytes, ${then.all} before`);
    }
    assert(ringMemory() < BIG / 10, `${ringMemory()} bytes are still taken`);
  }
  await child.tell(0);
  await assertIpcError("Disconnected", () => receiver.recv());
  receiver.close();
});

processTest("Memory is given back during a blocking wait, and during a select, as well", async () => {
  const [sender, receiver] = bytesChannel({ capacity: 64 * MB });
  for (let n = 0; n < 20; n++) sender.sendSync(new Uint8Array(MB));
  for (let n = 0; n < 20; n++) receiver.borrowSync().release();
  await assertIpcError("Timeout", () => receiver.recvSync({ timeout: 1 }));
  assert(ringMemory() < 8 * MB);
  const set = new IpcReceiverSet();
  set.add(receiver);
  for (let n = 0; n < 20; n++) sender.sendSync(new Uint8Array(MB));
  for (let got = 0; got < 20;) got += (await set.select()).length;
  await assertIpcError("Timeout", () => set.select({ timeout: 1500 }));
  assert(ringMemory() < 8 * MB, `${ringMemory()} bytes are still taken`);
  sender.close(), set.close();
});

processTest(
  "What a stream of large messages uses is kept while it goes on, and given back when it is over",
  async () => {
    const [sender, receiver] = bytesChannel({ capacity: 64 * MB });
    const message = new Uint8Array(6 * MB);
    /** Sends one to a receiver that waits for it, and returns how much the ring takes before. */
    const once = async (pause: number) => {
      const borrowed = receiver.borrow();
      await new Promise((resolve) => setTimeout(resolve, pause));
      const taken = ringMemory();
      sender.sendSync(message);
      (await soon(borrowed)).release();
      return taken;
    };
    for (let n = 0; n < 3; n++) await once(0); // a burst, as far as is known
    let last = performance.now();
    for (const begin = last; last - begin < 2500;) {
      const taken = await once(10), now = performance.now();
      // On a busy machine the stream may stop for so long that it counts as over.
      if (now - last < 200) assert(taken >= 6 * MB, `only ${taken} bytes are kept`);
      last = now;
    }
    assertEquals(await soon(once(1500)) < 2 * MB, true);
    sender.close(), receiver.close();
  },
);

/** Receives numbered messages, idle now and then, until the end; says how many were right. */
export async function check({ receiver, result }: {
  receiver: IpcReceiver<[number, Uint8Array]>;
  result: { sendSync(n: number): void; close(): void };
}): Promise<void> {
  let next = 0;
  for await (const [n, bytes] of receiver) {
    if (n === next && bytes.every((byte) => byte === n % 256)) next++;
  }
  result.sendSync(next);
  result.close();
}

processTest("No message is lost or damaged while a receiver gives memory back and senders go on", async ({ start }) => {
  const [sender, receiver] = channel<[number, Uint8Array]>({ capacity: 16 * MB });
  const [result, results] = channel<number>();
  await start(import.meta.url, check, { receiver, result });
  result.close();
  const begin = performance.now();
  let n = 0;
  // Long enough for memory to be given back twice: of large messages that go on it is not.
  for (let ms = 0; ms < 3500; ms = performance.now() - begin) {
    const size = ms % 1000 < 500 ? 700_000 : 1000;
    for (let i = 0; i < 10; i++, n++) await sender.send([n, new Uint8Array(size + n).fill(n)]);
    await sender.sendWhenEmpty([n, new Uint8Array(10).fill(n++)]); // empty: now it may
  }
  sender.close();
  assertEquals(await soon(results.recv()), n);
  results.close();
});
