// Publishers and subscribers in processes of their own, all at once.
import { assert, assertEquals } from "@std/assert";
import { IpcBytesPublisher, IpcPublisher, IpcSubscriber } from "../../../mod.ts";
import { soon } from "../../support/assert_ipc.ts";
import { patience } from "../../support/patience.ts";
import { folderTest } from "../../support/folder.ts";
import {
  ACTORS,
  checkPatterns,
  LAST_LENGTH,
  type Patterns,
  publishNumbers,
  publishPatterns,
  subscribeNumbers,
} from "./actors.ts";

interface Seen {
  received: number;
  missed: number;
  disorder: number;
  next: Record<string, number>;
}

folderTest(
  "Three publishers and three subscribers: each message once, in order, or counted",
  async (folder, { start }) => {
    const name = folder.channel, count = 20_000;
    using keeper = IpcPublisher.open<[string, number]>(name, { capacity: 65_536 });
    const total = 3 * count + 1;
    const subscribers = await Promise.all(
      (["recv", "recvSync", "values"] as const).map((way) =>
        start(ACTORS, subscribeNumbers, { name, count: total, way })
      ),
    );
    for (const child of subscribers) assertEquals(await child.said(), "ready");
    const publishers = await Promise.all(
      ["a", "b", "c"].map((from) => start(ACTORS, publishNumbers, { name, from, count })),
    );
    for (const child of publishers) assertEquals([await child.said(), await child.said()], ["ready", "published"]);
    keeper.publish(["last", 0]);
    for (const child of subscribers) {
      const { received, missed, disorder, next } = await child.said<Seen>();
      assertEquals(received + missed, total);
      assertEquals(disorder, 0);
      assertEquals(next["last"], 1);
    }
    for (const child of publishers) await child.tell();
  },
);

folderTest("Nobody ever sees half a message, however fast it is overwritten", async (folder, { start }) => {
  const name = folder.channel;
  using last = IpcBytesPublisher.open(name, { capacity: 65_536 });
  const readers = await Promise.all([0, 1].map(() => start(ACTORS, checkPatterns, { name })));
  for (const child of readers) assertEquals(await child.said(), "ready");
  const writers = await Promise.all(
    [1, 2].map((seed) => start(ACTORS, publishPatterns, { name, seed, milliseconds: 1000 })),
  );
  let published = 1;
  for (const child of writers) {
    assertEquals(await child.said(), "ready");
    published += await child.said<number>();
  }
  last.publish(new Uint8Array(LAST_LENGTH));
  for (const child of readers) {
    const { received, missed, torn } = await child.said<Patterns>();
    assertEquals([torn, received + missed], [0, published]);
    assert(received > 100, `${received} of ${published}`);
  }
});

folderTest("Who sleeps is woken by each of several publishers, message by message", async (folder, { start }) => {
  const name = folder.channel;
  using subscriber = IpcSubscriber.open<[string, number]>((IpcPublisher.open(name), name));
  const children = await Promise.all(
    ["a", "b"].map((from) => start(ACTORS, publishNumbers, { name, from, count: 50, told: true })),
  );
  for (const child of children) assertEquals(await child.said(), "ready");
  const began = performance.now();
  for (let n = 0; n < 50; n++) {
    for (const [i, child] of children.entries()) {
      const next = n % 2 === 0 ? subscriber.recv() : undefined;
      await child.tell();
      const got = next === undefined ? subscriber.recvSync({ timeout: 60_000 }) : await soon(next);
      assertEquals(got, ["ab"[i], n]);
      assertEquals(await child.said(), n);
    }
  }
  // Who is rung by nobody looks after a second: that would be 100 of them.
  assert(performance.now() - began < patience(40_000));
});

folderTest("A topic that was removed is followed to the one that takes its place", async (folder) => {
  const name = folder.channel;
  const first = IpcPublisher.open<string>(name);
  using subscriber = IpcSubscriber.open<string>(name);
  first.publish("one");
  const waiting = subscriber.recv().then(async (one) => [one, await subscriber.recv()]);
  for (const file of folder.files()) Deno.removeSync(`${folder.path}/${file}`); // behind everybody's back
  const second = IpcPublisher.open<string>(name);
  second.publish("two");
  assertEquals(await soon(waiting), ["one", "two"]);
  const next = subscriber.recv();
  second.publish("three");
  assertEquals(await soon(next), "three");
  assertEquals(subscriber.missed, 0);
  first.close(), second.close(), subscriber.close();
  assertEquals(folder.files(), []);
});
