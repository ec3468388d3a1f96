// Messages that are passed on undecoded, and the forms that every wait has.
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  channel,
  duplex,
  type EncodedMessage,
  type IpcDuplex,
  type IpcReceiver,
  IpcReceiver as Receiver,
  IpcSender,
  IpcServer,
  IpcSharedMemory,
} from "../../mod.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { patience } from "../support/patience.ts";
import { processTest, test } from "../support/test.ts";

interface Everything {
  text: string;
  bytes: Uint8Array;
  sender: IpcSender<number>;
  receiver: IpcReceiver<number>;
  end: IpcDuplex<number, number>;
  memory: IpcSharedMemory;
}

/** Passes on what comes, until nothing comes any more. */
export async function relay({ from, to }: { from: IpcReceiver<unknown>; to: IpcSender<unknown> }): Promise<void> {
  for (;;) {
    let message: EncodedMessage;
    try {
      message = await from.recvEncoded();
    } catch {
      break;
    }
    await to.sendEncoded(message);
    message.close();
  }
  from.close(), to.close();
}

for (const size of [10, 100_000, 6 << 20]) {
  processTest(`A relay passes on a message of ${size} bytes with endpoints, undecoded`, async ({ start }) => {
    const [sender, from] = channel<Everything>(), [to, receiver] = channel<Everything>();
    await start(import.meta.url, relay, { from, to } as never);
    to.close();
    for (let n = 0; n < 3; n++) {
      const [numbers, numbersBack] = channel<number>(), [others, othersBack] = channel<number>();
      const [here, there] = duplex<number, number>();
      using memory = IpcSharedMemory.from(new Uint8Array([n]));
      others.sendSync(n);
      const bytes = new Uint8Array(size).fill(n);
      await sender.send({ text: `${n}`, bytes, sender: numbers, receiver: othersBack, end: there, memory });
      const got = await receiver.recv({ timeout: patience(20_000) });
      assertEquals([got.text, got.bytes.length, got.bytes.at(-1), got.memory.bytes[0]], [`${n}`, size, n, n]);
      assertEquals(got.receiver.recvSync({ timeout: 0 }), n);
      got.sender.sendSync(n), got.end.sendSync(n);
      assertEquals([numbersBack.recvSync({ timeout: 0 }), here.recvSync({ timeout: 0 })], [n, n]);
      for (const end of [numbers, numbersBack, others, here, got.sender, got.receiver, got.end, got.memory]) {
        end.close();
      }
    }
    sender.close();
    await soon(assertIpcError("Disconnected", () => receiver.recv()));
    receiver.close();
  });
}

test("A message can be passed on to several, in all forms, and not once it is closed", async () => {
  const [sender, relayed] = channel<[IpcSender<number>]>();
  const outs = Array.from({ length: 3 }, () => channel<[IpcSender<number>]>());
  const [probe, probed] = channel<number>();
  assertEquals(relayed.tryRecvEncoded(), { state: "empty" });
  await assertIpcError("Timeout", () => relayed.recvEncoded({ timeout: 5 }));
  assertIpcErrorSync("Timeout", () => relayed.recvEncodedSync({ timeout: 5 }));
  sender.sendSync([probe]);
  probe.close();
  const message = relayed.recvEncodedSync();
  assert(message.descriptors > 0);
  await outs[0]![0].sendEncoded(message);
  outs[1]![0].sendEncodedSync(message);
  assert(outs[2]![0].trySendEncoded(message));
  message.close(), message.close();
  assert(message.closed);
  await assertIpcError("Closed", () => outs[0]![0].sendEncoded(message));
  assertThrows(() => outs[0]![0].sendEncodedSync({} as EncodedMessage), TypeError);
  for (const [n, [, receiver]] of outs.entries()) {
    const [end] = receiver.recvSync({ timeout: 0 });
    end.sendSync(n), end.close();
  }
  assertEquals(probed.recvMany(), [0, 1, 2]);
  assertEquals(probed.tryRecv(), { state: "disconnected" });
  sender.close();
  assertEquals(relayed.tryRecvEncoded(), { state: "disconnected" });
  for (const end of [relayed, probed, ...outs.flat()]) end.close();
});

test("sendWhenEmptySync() waits until everything was received", () => {
  const [sender, receiver] = channel<number>();
  sender.sendWhenEmptySync(1);
  assertIpcErrorSync("Timeout", () => sender.sendWhenEmptySync(2, { timeout: 5 }));
  assertEquals(receiver.recvMany(), [1]);
  sender.sendWhenEmptySync(3, { timeout: 5 });
  assertEquals(receiver.recvMany(), [3]);
  const [left, right] = duplex<number, number>();
  left.sendWhenEmptySync(4);
  assertEquals(right.recvSync(), 4);
  for (const end of [sender, receiver, left, right]) end.close();
});

test("A duplex borrows, and has a readable and a writable stream", async () => {
  const [left, right] = duplex<Uint8Array, Uint8Array>();
  assertEquals(right.tryBorrow(), undefined);
  left.sendSync(new Uint8Array(5000).fill(7));
  {
    using message = right.borrowSync();
    assertEquals(message.value[4999], 7);
  }
  left.sendSync(new Uint8Array(5000).fill(8));
  {
    using message = right.tryBorrow()!;
    assertEquals(message.value[4999], 8);
  }
  assert(left.writable === left.writable && right.readable === right.readable);
  const writing = (async () => {
    const writer = left.writable.getWriter();
    for (const n of [1, 2, 3]) await writer.write(new Uint8Array([n]));
    await writer.close();
  })();
  const read: number[] = [];
  for await (const bytes of right.readable) read.push(bytes[0]!);
  assertEquals(read, [1, 2, 3]);
  await writing;
  right.sendSync(new Uint8Array([9]));
  assertEquals(left.recvSync()[0], 9, "the other direction is open");
  left.close(), right.close();
});

test("An opaque sender can be cloned", () => {
  const [sender, receiver] = channel<number>();
  using opaque = sender.toOpaque();
  using clone = opaque.clone();
  opaque.close();
  using typed = clone.to<number>();
  typed.sendSync(1);
  assertEquals(receiver.recvSync(), 1);
  receiver.close();
});

test("Ends say their capacity, their backlog and their path", () => {
  const [sender, receiver] = channel<string>({ capacity: 100_000 });
  assertEquals([sender.capacity, receiver.capacity, sender.path, receiver.path], [
    131_072,
    131_072,
    undefined,
    undefined,
  ]);
  assertEquals([sender.backlog, receiver.backlog], [0, 0]);
  sender.sendSync("x".repeat(1000));
  assert(sender.backlog >= 1000 && sender.backlog < 1200, `${sender.backlog}`);
  assertEquals(receiver.backlog, sender.backlog);
  receiver.recvSync();
  assertEquals([sender.backlog, receiver.backlog], [0, 0]);
  sender.close(), receiver.close();
  assertIpcErrorSync("Closed", () => sender.capacity);
  assertIpcErrorSync("Closed", () => receiver.backlog);
  const path = `/dev/shm/isthmus-test-${crypto.randomUUID()}`;
  using named = Receiver.create<string>(path), into = IpcSender.open<string>(path);
  assertEquals([named.path, into.path], [path, path]);
  using server = new IpcServer();
  assertEquals(server.path, undefined);
});
