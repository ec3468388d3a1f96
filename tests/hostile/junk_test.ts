// Peers that send nothing but what cannot be decoded, or damage their ring, as fast as they can.
import { assert, assertEquals } from "@std/assert";
import { channel, EncodedMessage, type IpcError, IpcReceiverSet, IpcRouter, type IpcSender } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { soon } from "../support/assert_ipc.ts";
import { patience } from "../support/patience.ts";
import { processTest } from "../support/test.ts";

/** Sends junk until the receiver is gone. */
export function sendJunk({ sender }: { sender: IpcSender<unknown> }, self: Self): void {
  const junk = new EncodedMessage(new Uint8Array([0x1c]), []);
  try {
    for (;;) sender.sendEncodedSync(junk);
  } catch (error) {
    self.say((error as IpcError).code);
  }
}

/** Sends numbers, each when it is told to. */
export function sendNumbers({ sender, count }: { sender: IpcSender<number>; count: number }): void {
  for (let n = 0; n < count; n++) sender.sendSync(n);
}

processTest(
  "Junk does not stop the event loop of a router, and the others are served to the last message",
  async ({ start }) => {
    const errors: string[] = [];
    using router = new IpcRouter();
    const [junk, junkReceiver] = channel<unknown>({ capacity: 1 << 20 }), [honest, receiver] = channel<number>();
    const flooded = router.route(junkReceiver, () => {}, { onError: (error) => errors.push((error as IpcError).code) });
    const got: number[] = [];
    const done = router.route(receiver, (n) => got.push(n)).ended;
    const hostile = await start(import.meta.url, sendJunk, { sender: junk });
    junk.close();
    let late = 0, due = performance.now() + 20;
    const ticking = setInterval(() => {
      late = Math.max(late, performance.now() - due);
      due = performance.now() + 20;
    }, 20);
    const count = 20_000;
    await start(import.meta.url, sendNumbers, { sender: honest, count });
    honest.close();
    await soon(done, "The honest route");
    assertEquals(got.length, count);
    assert(got.every((n, at) => n === at));
    await soon(flooded.ended, "The flooded route");
    clearInterval(ticking);
    assertEquals(await soon(hostile.said()), "Disconnected");
    assert(late < patience(1000), `a timer was late by ${late} ms`);
    assertEquals(errors.at(-1), "Corrupt");
    assertEquals(errors.filter((code) => code === "Corrupt").length, 1);
  },
);

processTest(
  "Junk does not stop the event loop of a bare recv() with catch, and closes the receiver",
  async ({ start }) => {
    const [sender, receiver] = channel<unknown>({ capacity: 1 << 20 });
    const hostile = await start(import.meta.url, sendJunk, { sender });
    sender.close();
    let ticks = 0, errors = 0, last = "";
    const ticking = setInterval(() => ticks++, 20);
    const begin = performance.now();
    while (!receiver.closed) {
      await receiver.recv().catch((error) => (last = error.code, errors++));
      assert(performance.now() - begin < patience(50_000));
    }
    const took = performance.now() - begin;
    clearInterval(ticking);
    assertEquals(last, "Corrupt");
    assert(errors >= 10_000);
    assert(ticks >= took / 20 / 10, `${ticks} ticks in ${took} ms`);
    assertEquals(await soon(hostile.said()), "Disconnected");
  },
);

/** Damages what it was given: any holder of a sender can write to the memory behind it. */
export async function damageRing({ sender }: { sender: IpcSender<number> }, self: Self): Promise<void> {
  const { descriptorsOf } = await import("../support/leftovers.ts");
  sender.sendSync(1); // attaches
  assert(descriptorsOf("self").length > 0);
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      const path = `/proc/self/fd/${name}`;
      if (!Deno.readLinkSync(path).includes("isthmus")) continue;
      using file = Deno.openSync(path, { read: true, write: true });
      file.seekSync(64, Deno.SeekMode.Start);
      file.writeSync(new Uint8Array(new Int32Array([0x33557799]).buffer)); // TAIL
    } catch {
      // The descriptor of the listing.
    }
  }
  self.say();
  self.hear();
}

processTest("A ring that its sender damages is reported once, and the other members are served", async ({ start }) => {
  using set = new IpcReceiverSet();
  const [bad, badReceiver] = channel<number>(), [good, receiver] = channel<number>();
  const id = set.add(badReceiver), other = set.add(receiver);
  const hostile = await start(import.meta.url, damageRing, { sender: bad });
  bad.close();
  await hostile.said();
  const errors: [number, string][] = [];
  let served = 0;
  for (let n = 0; n < 100; n++) {
    good.sendSync(n);
    for (const event of await soon(set.select())) {
      if (event.type === "error") errors.push([event.id, event.error.code]);
      else if (event.id === other) served++;
    }
  }
  assertEquals(served, 100);
  assertEquals(errors, [[id, "Corrupt"]]);
  assertEquals(set.size, 1);
  await hostile.kill();
  good.close();
});
