// A program transfers a buffer over shared memory: that is refused, or harms nobody.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { array, bytesChannel, channel, f64, IpcArc, IpcSharedMemory } from "../../mod.ts";
import { pinnedAddresses } from "../../ffi/memory/mapping.ts";
import { processTest, test } from "../support/test.ts";
import type { Self } from "../support/actor.ts";

/** Every way to take a buffer away from its views. */
const TRANSFERS: Record<string, (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>> = {
  "structuredClone()": (bytes) => structuredClone(bytes, { transfer: [bytes.buffer] }),
  "transfer()": (bytes) => new Uint8Array(bytes.buffer.transfer()),
  "transferToFixedLength()": (bytes) => new Uint8Array(bytes.buffer.transferToFixedLength()),
  "postMessage()"(bytes) {
    const { port1, port2 } = new MessageChannel();
    try {
      port1.postMessage(bytes, [bytes.buffer]);
      return new Uint8Array(0);
    } finally {
      port1.close(), port2.close();
    }
  },
};

for (const [way, transfer] of Object.entries(TRANSFERS)) {
  test(`Shared memory stays where it is when its buffer is to be transferred by ${way}`, () => {
    const memory = IpcSharedMemory.from(new Uint8Array([1, 2, 3]));
    const { bytes } = memory;
    assertThrows(() => transfer(bytes));
    bytes[0] = 7;
    assertEquals([...memory.bytes], [7, 2, 3]);
    using same = memory.clone();
    assertEquals(same.bytes[0], 7);
    memory.close();
    assertEquals(bytes.length, 0);
  });

  test(`A loan whose buffer was transferred by ${way} is committed, or given up, and holds nobody up`, () => {
    const [sender, receiver] = bytesChannel({ capacity: 65_536 });
    const loan = sender.reserveSync(10_000);
    const moved = transfer(loan.bytes);
    moved.fill(5);
    loan.commit();
    {
      using other = sender.reserveSync(100);
      transfer(other.bytes);
    }
    sender.sendSync(new Uint8Array([1]));
    assertEquals(receiver.recvSync({ timeout: 0 }).length, 10_000);
    assertEquals([...receiver.recvSync({ timeout: 0 })], [1]);
    sender.close(), receiver.close();
    moved.fill(6); // the memory is not unmapped, nor anybody else's
  });

  test(`A borrowed message whose buffer was transferred by ${way} is released, and holds nobody up`, () => {
    const [sender, receiver] = bytesChannel({ capacity: 65_536 });
    const [values, valueReceiver] = channel<Uint8Array<ArrayBuffer>>({ capacity: 65_536 });
    const kept: Uint8Array[] = [];
    for (let round = 0; round < 20; round++) {
      sender.sendSync(new Uint8Array(20_000)), values.sendSync(new Uint8Array(20_000));
      const borrowed = receiver.borrowSync({ timeout: 0 }), value = valueReceiver.borrowSync({ timeout: 0 });
      kept.push(transfer(borrowed.value as Uint8Array<ArrayBuffer>), transfer(value.value));
      borrowed.release(), value.release(), borrowed.release();
    }
    for (const end of [sender, receiver, values, valueReceiver]) end.close();
    for (const bytes of kept) bytes.fill(1);
  });

  test(`A large borrowed message whose buffer was transferred by ${way} is released`, () => {
    const [sender, receiver] = bytesChannel({ capacity: 65_536 });
    sender.sendSync(new Uint8Array(100_000));
    const borrowed = receiver.borrowSync({ timeout: 0 });
    transfer(borrowed.value as Uint8Array<ArrayBuffer>);
    borrowed.release();
    sender.close(), receiver.close();
  });

  test(`A guard whose view's buffer was transferred by ${way} is released, and the cell goes on`, () => {
    const name = `transferred-${crypto.randomUUID()}`;
    const layout = array(f64, 1000);
    const cell = IpcArc.create(name, new Float64Array(1000), { layout });
    const guard = cell.acquireSync();
    const view = guard.value as Float64Array<ArrayBuffer>;
    const moved = transfer(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
    guard.release();
    cell.updateSync((values) => values);
    assertEquals((cell.read() as Float64Array).length, 1000);
    cell.close();
    moved.fill(1);
  });
}

/** Does all of that, has the garbage collected again and again, and touches what was transferred. */
export async function transferAndCollect(_: unknown, self: Self): Promise<void> {
  const { gc } = globalThis as unknown as { gc(): void };
  const kept: Uint8Array[] = [];
  for (let round = 0; round < 30; round++) {
    const memory = IpcSharedMemory.filled(1, 1 << 20);
    kept.push(memory.bytes); // without the object
    const [sender, receiver] = bytesChannel({ capacity: 65_536 });
    const loan = sender.reserveSync(5000);
    kept.push(structuredClone(loan.bytes, { transfer: [loan.bytes.buffer] }));
    if (round % 2 === 0) loan.commit();
    sender.trySend(new Uint8Array(5000));
    const borrowed = receiver.tryBorrow();
    if (borrowed !== undefined) {
      const bytes = borrowed.value as Uint8Array<ArrayBuffer>;
      kept.push(structuredClone(bytes, { transfer: [bytes.buffer] }));
    }
    if (round % 3 === 0) sender.close(), receiver.close();
  }
  for (let i = 0; i < 5; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 10));
    for (const bytes of kept) if (bytes.length > 0) bytes.fill(i);
    // What is mapped now must not get what they write.
    const [sender, receiver] = channel<string>();
    sender.sendSync("untouched");
    for (const bytes of kept) if (bytes.length > 0) bytes.fill(99);
    if (receiver.recvSync() !== "untouched") throw new Error("Somebody else's memory");
    sender.close(), receiver.close();
  }
  self.say(pinnedAddresses());
}

processTest("Transferred buffers outlive their owners, also where those were forgotten", async ({ start }) => {
  const child = await start(import.meta.url, transferAndCollect, null, ["-A", "--v8-flags=--expose-gc"]);
  const pinned = await child.said<number>();
  assert(pinned > 0 && (await child.status).success);
});
