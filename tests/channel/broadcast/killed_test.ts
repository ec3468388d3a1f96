// Publishers and subscribers that are killed, or stopped, at each step that others can see.
import { assert, assertEquals } from "@std/assert";
import { IpcPublisher, IpcSubscriber } from "../../../mod.ts";
import { assertIpcErrorSync, soon } from "../../support/assert_ipc.ts";
import { folderTest } from "../../support/folder.ts";
import { patience } from "../../support/patience.ts";
import { ACTORS, openAndClose, publishNumbers, sleepAt } from "./actors.ts";

/** The steps of publishing, in their order, and whether the message counts that was being published. */
const STEPS = [
  ["turn-taken", false],
  ["room-made", false],
  ["copied", false],
  ["published", true],
  ["ringing", true],
  ["rung", true],
] as const;

for (const [step, counts] of STEPS) {
  folderTest(`A publisher that is killed at "${step}" costs at most its own message`, async (folder, processes) => {
    const name = folder.channel;
    using other = IpcPublisher.open<[string, number]>(name);
    using awake = IpcSubscriber.open<[string, number]>(name);
    using asleep = IpcSubscriber.open<[string, number]>(name);
    // Asleep before there is a publisher: else that one might publish everything without ringing for any of it.
    const first = asleep.recv();
    const occurrence = step === "ringing" || step === "rung" ? 1 : 3;
    const child = await processes.start(ACTORS, publishNumbers, {
      name,
      from: "killed",
      count: 1000,
      end: { step, occurrence, signal: "SIGKILL" },
    });
    assertEquals((await soon(child.status)).signal, "SIGKILL");
    const mine = occurrence - 1 + (counts ? 1 : 0);
    for (let n = 0; n < 100; n++) other.publish(["other", n]); // at once: the dead one's turn is taken over
    const seen = [await soon(first)];
    for (let next = asleep.tryRecv(); next.state === "message"; next = asleep.tryRecv()) seen.push(next.value);
    const expected = [
      ...Array.from({ length: mine }, (_, n) => ["killed", n]),
      ...Array.from({ length: 100 }, (_, n) => ["other", n]),
    ];
    assertEquals(seen, expected as typeof seen);
    const read: unknown[] = [];
    for (let next = awake.tryRecv(); next.state === "message"; next = awake.tryRecv()) read.push(next.value);
    assertEquals(read, expected);
    assertEquals([asleep.missed, awake.missed], [0, 0]);
    // Also who comes now, and who sleeps now.
    using late = IpcPublisher.open<[string, number]>(name);
    const next = asleep.recv();
    late.publish(["late", 0]);
    assertEquals(await soon(next), ["late", 0]);
  });
}

folderTest(
  "A topic whose publishers were all killed is read to its end, and goes on with the next",
  async (folder, { start }) => {
    const name = folder.channel;
    const child = await start(ACTORS, publishNumbers, { name, from: "a", count: 3 });
    assertEquals([await child.said(), await child.said()], ["ready", "published"]);
    using subscriber = IpcSubscriber.open<[string, number]>(name, { from: "oldest" });
    await child.kill();
    for (let n = 0; n < 3; n++) assertEquals(subscriber.recvSync(), ["a", n]);
    const waiting = subscriber.recv();
    using next = IpcPublisher.open<[string, number]>(name);
    next.publish(["b", 0]);
    assertEquals(await soon(waiting), ["b", 0]);
    assertEquals(subscriber.missed, 0);
  },
);

folderTest("A topic that the dead have left is made anew by the next publisher", async (folder, { start }) => {
  const name = folder.channel;
  const child = await start(ACTORS, publishNumbers, { name, from: "a", count: 3, capacity: 65_536 });
  assertEquals([await child.said(), await child.said()], ["ready", "published"]);
  await child.kill();
  using publisher = IpcPublisher.open<string>(name, { capacity: 1 << 20 });
  assertEquals(publisher.capacity, 1 << 20);
  using subscriber = IpcSubscriber.open<string>(name, { from: "oldest" });
  assertEquals(subscriber.tryRecv(), { state: "empty" });
});

for (
  const step of [
    "topic-seats-held",
    "topic-linked",
    "topic-removing",
    "topic-removed",
    "topic-seats-removed",
  ]
) {
  folderTest(`A process that is killed at "${step}" leaves a name that others can use`, async (folder, { start }) => {
    const name = folder.channel;
    const end = { step, occurrence: 1, signal: "SIGKILL" } as const;
    const child = await start(ACTORS, openAndClose, { name, end });
    assertEquals((await soon(child.status)).signal, "SIGKILL");
    {
      using publisher = IpcPublisher.open<string>(name);
      using subscriber = IpcSubscriber.open<string>(name);
      const next = subscriber.recv();
      publisher.publish("hello");
      assertEquals(await soon(next), "hello");
    }
    assertEquals(folder.files(), []);
  });
}

folderTest("Subscribers that are killed asleep leave no trace, and hold nobody up", async (folder, { start }) => {
  const name = folder.channel;
  {
    using publisher = IpcPublisher.open<number>(name);
    const children = await Promise.all([0, 1, 2].map(() => start(ACTORS, sleepAt, { name })));
    for (const child of children) assertEquals(await child.said(), "asleep");
    assertEquals(folder.files().filter((file) => file.includes(".bell.")).length, 3);
    await children[0]!.kill();
    await children[1]!.kill();
    publisher.publish(1);
    assertEquals(await children[2]!.said(), "awake");
    using subscriber = IpcSubscriber.open<number>(name);
    const next = subscriber.recv(); // takes the place of a dead one
    assertEquals(folder.files().filter((file) => file.includes(".bell.")).length, 3);
    publisher.publish(2); // after which the child ends
    assertEquals(await soon(next), 2);
    await children[2]!.kill();
  }
  assertEquals(folder.files(), []);
});

folderTest(
  "A publisher that is stopped in the middle of a message makes others fail, not hang",
  async (folder, { start }) => {
    const name = folder.channel;
    using other = IpcPublisher.open<[string, number]>(name);
    using subscriber = IpcSubscriber.open<[string, number]>(name);
    other.publish(["other", 0]);
    const end = { step: "copied", occurrence: 1, signal: "SIGSTOP" } as const;
    const child = await start(ACTORS, publishNumbers, { name, from: "stopped", count: 1, end });
    await child.stopped();
    assertEquals(subscriber.recvSync(), ["other", 0]); // subscribers do not wait for it
    assertEquals(subscriber.tryRecv(), { state: "empty" });
    const began = performance.now();
    const error = assertIpcErrorSync("Timeout", () => other.publish(["other", 1]));
    assert(performance.now() - began < patience(30_000));
    assert(error.message.includes(`process ${child.pid} `), error.message);
    child.signal("SIGCONT");
    assertEquals([await child.said(), await child.said()], ["ready", "published"]);
    other.publish(["other", 2]);
    assertEquals([subscriber.recvSync(), subscriber.recvSync()], [["stopped", 0], ["other", 2]]);
    await child.kill();
  },
);
