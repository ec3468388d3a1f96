// Topics of other users, and subscribers that may do no more than read.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { IpcBytesPublisher, IpcBytesSubscriber, IpcPublisher, IpcSubscriber } from "../../../mod.ts";
import { assertIpcErrorSync } from "../../support/assert_ipc.ts";
import { type Folder, folderTest } from "../../support/folder.ts";
import { isRoot, OtherUser } from "../../support/users.ts";

const ANN = 60001, BEN = 60002, GROUP = 60100;

function userTest(name: string, body: (folder: Folder, path: string) => Promise<void>): void {
  if (!isRoot) console.log(`Ignored, as it must be root: ${name}`);
  folderTest(name, async (folder) => {
    if (!isRoot) return;
    Deno.chmodSync(folder.path, 0o1777);
    await body(folder, folder.channel);
  });
}

userTest("Another user may subscribe to what it may read, and to nothing else", async (folder, path) => {
  await using ann = new OtherUser(ANN);
  const open = `kept.subscriber = isthmus.IpcSubscriber.open("${path}"); return "open"`;
  const publisher = IpcPublisher.open<number>(path);
  assertMatch(String(await ann.do(open)), /^Permission: /);
  publisher.close();
  using readable = IpcPublisher.open<number>(path, { mode: 0o644 });
  assertEquals(await ann.do(open), "open"); // root's is anybody's to use
  assertMatch(String(await ann.do(`isthmus.IpcPublisher.open("${path}")`)), /^Permission: /);
  for (const way of ["await kept.subscriber.recv()", "kept.subscriber.recvSync()"]) {
    const waiting = ann.do(`return ${way}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
    readable.publish(7);
    assertEquals(await waiting, 7);
  }
  readable.publish(8);
  assertEquals(await ann.do("using b = kept.subscriber.borrowSync(); return [b.value, b.isIntact()]"), [8, true]);
  assertEquals(
    await ann.do(`
      const lines = Deno.readTextFileSync("/proc/self/maps").split("\\n").filter((line) => line.includes("${path}"));
      return [...new Set(lines.map((line) => line.split(" ")[1]))]`),
    ["r--s"],
  );
  readable.publish(9);
  using large = IpcBytesPublisher.open(path, { mode: 0o644 });
  large.publish(new Uint8Array(100_000).fill(3));
  assertEquals(
    await ann.do(`kept.subscriber.recvSync();
      using bytes = isthmus.IpcBytesSubscriber.open("${path}", { from: "oldest" });
      for (let n = 0; n < 4; n++) bytes.recvSync();
      using frame = bytes.borrowSync();
      const sum = frame.value.reduce((sum, byte) => sum + byte, 0);
      frame.value.fill(9); // a page of its own
      return [sum, frame.isIntact()]`),
    [300_000, true],
  );
  using own = IpcBytesSubscriber.open(path, { from: "oldest" });
  for (let n = 0; n < 4; n++) own.recvSync();
  assertEquals(new Set(own.recvSync()), new Set([3]));
  assertEquals(await ann.do("return kept.subscriber.missed"), 0);
  assertEquals(folder.files(), ["channel", "channel.seats"]); // it has no bell
});

userTest("One that may only read goes over to the topic that takes the place of the last", async (_folder, path) => {
  await using ann = new OtherUser(ANN);
  const first = IpcPublisher.open<string>(path, { mode: 0o644 });
  await ann.do(`kept.subscriber = isthmus.IpcSubscriber.open("${path}"); kept.next = kept.subscriber.recv();`);
  first.publish("one");
  first.close(); // nobody is counted any more: the files go
  const second = IpcPublisher.open<string>(path, { mode: 0o644 });
  second.publish("two");
  assertEquals(await ann.do("return [await kept.next, await kept.subscriber.recv()]"), ["one", "two"]);
  await ann.do("kept.next = kept.subscriber.recv()");
  second.close();
  using third = IpcPublisher.open<string>(path, { mode: 0o644 });
  third.publish("three");
  assertEquals(await ann.do("return [await kept.next, kept.subscriber.missed]"), ["three", 0]);
});

userTest("Another user's topic is refused unless that user is trusted", async (_folder, path) => {
  await using ann = new OtherUser(ANN);
  await using ben = new OtherUser(BEN);
  await ann.do(`kept.publisher = isthmus.IpcPublisher.open("${path}", { mode: 0o644 })`);
  const error = assertIpcErrorSync("Permission", () => IpcSubscriber.open(path));
  assert(error.message.includes(`user ${ANN}`), error.message);
  assertIpcErrorSync("Permission", () => IpcPublisher.open(path));
  const open = (trust: string) => ben.do(`kept.s = isthmus.IpcSubscriber.open("${path}"${trust}); return "open"`);
  assertMatch(String(await open("")), /^Permission: .*user 60001/);
  assertMatch(String(await open(`, { trust: { users: [${GROUP}] } }`)), /^Permission: /);
  assertEquals(await open(`, { trust: { users: [${ANN}] } }`), "open");
  await ann.do("kept.publisher.publish(5)");
  assertEquals(await ben.do("return kept.s.recvSync({ timeout: 10000 })"), 5);
  await ann.do("kept.publisher.close()");
});

userTest("A group that trusts itself publishes and subscribes, and rings each other", async (folder, path) => {
  await using ann = new OtherUser(ANN, GROUP);
  await using ben = new OtherUser(BEN, GROUP);
  const options = `{ mode: 0o660, trust: { group: ${GROUP} } }`;
  await ann.do(`kept.p = isthmus.IpcPublisher.open("${path}", ${options})`);
  await ben.do(`kept.p = isthmus.IpcPublisher.open("${path}", ${options});
    kept.s = isthmus.IpcSubscriber.open("${path}", ${options});`);
  const waiting = ben.do("return await kept.s.recv()");
  while (!folder.files().includes("channel.bell.0")) await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(Deno.statSync(`${path}.bell.0`).mode! & 0o777, 0o660);
  await ann.do("kept.p.publish('to ben')");
  assertEquals(await waiting, "to ben");
  await ann.kill(); // the file is its own
  await ben.do("kept.p.publish('still there')");
  assertEquals(await ben.do("return kept.s.recvSync()"), "still there");
  await ben.do("kept.p.close(); kept.s.close()");
  // Only its owner may remove it from such a folder: found dead, and used again.
  await using again = new OtherUser(BEN, GROUP);
  await again.do(`kept.p = isthmus.IpcPublisher.open("${path}", ${options}); kept.p.publish("again")`);
  assertEquals(
    await again.do(`using s = isthmus.IpcSubscriber.open("${path}", { ...${options}, from: "oldest" });
      return [s.recvSync(), s.recvSync(), s.recvSync()]`),
    ["to ben", "still there", "again"],
  );
});
