// Subscribers that wait, for a message or for the topic itself: they do nothing meanwhile, and are rung.
import { assertEquals, assertThrows } from "@std/assert";
import { IpcPublisher, IpcSubscriber } from "../../../mod.ts";
import { assertIpcErrorSync, soon } from "../../support/assert_ipc.ts";
import { folderTest } from "../../support/folder.ts";
import { assertIdle } from "../../support/idle.ts";
import { ACTORS, listen, openAndClose } from "./actors.ts";

const early = (files: string[]) => files.filter((file) => file.includes(".early."));

for (const blocks of [false, true]) {
  const way = blocks ? "blocks in recvSync()" : "awaits recv()";
  folderTest(`Who ${way} is not woken by the clock, before its topic is made nor after`, async (folder, { start }) => {
    const name = folder.channel;
    const child = await start(ACTORS, listen, { name, blocks });
    assertEquals(await child.said(), "there");
    assertEquals(early(folder.files()).length, 1);
    await assertIdle(child.pid, "a topic");
    using publisher = IpcPublisher.open<string>(name);
    publisher.publish("hello");
    assertEquals(await soon(child.said()), "hello");
    assertEquals(early(folder.files()), []);
    await assertIdle(child.pid, "a message");
    publisher.publish("again");
    assertEquals(await soon(child.said()), "again");
    await child.kill();
  });
}

folderTest("Subscribers that come early and wait for nothing yet are at the topic once it is made", async (folder) => {
  const name = folder.channel;
  using first = IpcSubscriber.open<number>(name);
  using second = IpcSubscriber.open<number>(name, { from: "oldest" });
  IpcSubscriber.open<number>(name).close();
  assertEquals(early(folder.files()).length, 2);
  assertIpcErrorSync("Timeout", () => first.recvSync({ timeout: 5 }));
  using publisher = IpcPublisher.open<number>(name, { capacity: 65_536 });
  while (early(folder.files()).length > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  for (let n = 0; n < 10; n++) publisher.publish(n);
  for (let n = 0; n < 10; n++) assertEquals([first.recvSync(), await second.recv()], [n, n]);
});

folderTest("What a killed early subscriber has left is removed by the publisher that makes the topic", async (
  folder,
  { start },
) => {
  const name = folder.channel;
  const child = await start(ACTORS, listen, { name, blocks: false });
  assertEquals(await child.said(), "there");
  await child.kill();
  assertEquals(early(folder.files()).length, 1);
  Deno.writeTextFileSync(`${name}.early.00000000`, "somebody's file");
  {
    using publisher = IpcPublisher.open<number>(name);
    publisher.publish(1);
    assertEquals(early(folder.files()), ["channel.early.00000000"]);
  }
  Deno.removeSync(`${name}.early.00000000`);
  assertEquals(folder.files(), []);
});

folderTest("A topic whose maker was killed before it rang is found by the next wait", async (folder, { start }) => {
  const name = folder.channel;
  using subscriber = IpcSubscriber.open<string>(name);
  const end = { step: "topic-linked", occurrence: 1, signal: "SIGKILL" } as const;
  const child = await start(ACTORS, openAndClose, { name, end });
  assertEquals((await soon(child.status)).signal, "SIGKILL");
  using publisher = IpcPublisher.open<string>(name); // makes it anew, or goes on with it
  const next = subscriber.recv();
  publisher.publish("hello");
  assertEquals(await soon(next), "hello");
});

folderTest("A wait goes on from a topic that was removed to the next, without looking", async (folder, { start }) => {
  const name = folder.channel;
  const child = await start(ACTORS, listen, { name, blocks: false });
  assertEquals(await child.said(), "there");
  for (let round = 0; round < 2; round++) {
    const publisher = IpcPublisher.open<number>(name);
    publisher.publish(round);
    assertEquals(await soon(child.said()), round);
    const removed = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--allow-ffi", import.meta.resolve("../../../cli/mod.ts"), "rm", "--force", name],
    }).outputSync();
    assertEquals(removed.success, true, new TextDecoder().decode(removed.stderr));
    publisher.close();
    while (early(folder.files()).length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    if (round === 1) await assertIdle(child.pid, "the next topic");
  }
  await child.kill();
});

folderTest("Where nothing can be made beside the topic, it is looked for", async (folder) => {
  const name = `${folder.path}/${"x".repeat(245)}`; // a file of the seats fits beside it, but none with a longer name
  using subscriber = IpcSubscriber.open<number>(name);
  assertEquals(folder.files(), []);
  const next = subscriber.recv();
  using publisher = IpcPublisher.open<number>(name);
  publisher.publish(1);
  assertEquals(await soon(next), 1);
});

folderTest("The name of what lies beside a topic is no topic's", (folder) => {
  for (const open of [IpcPublisher.open, IpcSubscriber.open]) {
    assertThrows(() => open(`${folder.channel}.early.0123abcd`), TypeError, ".early.ID");
    assertThrows(() => open(`t.early.0123abcd`), TypeError, ".early.ID");
  }
});
