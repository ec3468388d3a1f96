// Subscribers that do what they can against the others, and publishers that write anything anywhere.
import { assert, assertEquals } from "@std/assert";
import { DATA_OFFSET, W_LAST, W_OLDEST, W_TURN } from "../../../../channel/broadcast/layout.ts";
import { IpcError, IpcPublisher, IpcSubscriber } from "../../../../mod.ts";
import { soon } from "../../../support/assert_ipc.ts";
import { type Folder, folderTest } from "../../../support/folder.ts";
import type { Self } from "../../../support/actor.ts";
import { isRoot, OtherUser } from "../../../support/users.ts";

const ANN = 60001;

/** Locks a file in every way that one can who may only read it, and never lets go. */
const LOCK_ALL = `
  kept.file = Deno.openSync(path, { read: true });
  kept.file.lockSync(true);
  const { symbols } = Deno.dlopen("libc.so.6", {
    open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
    fcntl: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  });
  const fd = symbols.open(new TextEncoder().encode(path + "\\0"), 0, 0);
  return symbols.fcntl(fd, 37, new Uint8Array(32));`; // F_OFD_SETLK, F_RDLCK, all of it

if (!isRoot) console.log("Ignored, as it must be root: what subscribers of other users can do");

async function withReader(folder: Folder, act: (ann: OtherUser, path: string) => Promise<void>): Promise<void> {
  Deno.chmodSync(folder.path, 0o777);
  await using ann = new OtherUser(ANN);
  await act(ann, folder.channel);
}

folderTest("A reader that locks the file in every way keeps nobody out", async (folder) => {
  if (!isRoot) return;
  await withReader(folder, async (ann, path) => {
    const publisher = IpcPublisher.open<number>(path, { mode: 0o644 });
    assertEquals(await ann.do(`const path = ${JSON.stringify(path)}; ${LOCK_ALL}`), 0);
    const subscriber = IpcSubscriber.open<number>(path);
    for (const access of ["read", "write"]) {
      assert(
        String(await ann.do(`Deno.openSync("${path}.seats", { ${access}: true })`)).includes("ermission"),
        `may ${access} the seats`,
      );
    }
    assert(String(await ann.do(`Deno.openSync("${path}", { write: true })`)).includes("ermission"));
    assert(String(await ann.do(`Deno.truncateSync("${path}", 0)`)).includes("ermission"));
    using another = IpcPublisher.open<number>(path, { mode: 0o644 });
    using late = IpcSubscriber.open<number>(path);
    const next = late.recv();
    another.publish(1);
    assertEquals(await soon(next), 1);
    publisher.publish(2);
    assertEquals([subscriber.recvSync(), subscriber.recvSync()], [1, 2]);
    publisher.close(), subscriber.close(), another.close(), late.close();
    assertEquals(folder.files(), []); // nor does it keep the files there
  });
});

folderTest("A reader that never reads, and one that dies, cost publishers nothing", async (folder) => {
  if (!isRoot) return;
  await withReader(folder, async (ann, path) => {
    using publisher = IpcPublisher.open<number>(path, { mode: 0o644, capacity: 65_536 });
    await ann.do(`kept.subscriber = isthmus.IpcSubscriber.open("${path}");`);
    for (let n = 0; n < 100_000; n++) publisher.publish(n);
    assertEquals(await ann.do("return await kept.subscriber.recv()"), 100_000 - 2048);
    assertEquals(await ann.do("return kept.subscriber.missed"), 100_000 - 2048);
    await ann.kill();
    publisher.publish(1);
  });
});

/** Writes anything anywhere into a topic for some time. */
export function scribble(
  { path, milliseconds, seed }: { path: string; milliseconds: number; seed: number },
  self: Self,
) {
  using file = Deno.openSync(path, { read: true, write: true });
  let state = seed;
  const next = (below: number) => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) % below;
  const word = new DataView(new ArrayBuffer(8));
  self.say("ready");
  for (const until = performance.now() + milliseconds; performance.now() < until;) {
    const places = [W_LAST * 4, W_OLDEST * 4, W_TURN * 4, DATA_OFFSET + 64 * next(2048), 4096 + 64 * next(8)];
    const interesting = [0, 1, -1, 2 ** 31 - 1, -(2 ** 31), next(4096), next(2 ** 32)];
    word.setInt32(0, interesting[next(interesting.length)]!, true);
    word.setInt32(4, interesting[next(interesting.length)]!, true);
    file.seekSync(places[next(places.length)]! + 4 * next(3), Deno.SeekMode.Start);
    file.writeSync(new Uint8Array(word.buffer, 0, 4 + 4 * next(2)));
  }
  self.say("done");
}

folderTest(
  "A topic that a publisher damages is an error or a message, never a crash or a hang",
  async (folder, { start }) => {
    const path = folder.channel;
    using publisher = IpcPublisher.open<unknown>(path, { capacity: 65_536 });
    using values = IpcSubscriber.open<unknown>(path);
    using oldest = IpcSubscriber.open<unknown>(path, { from: "oldest" });
    const child = await start(import.meta.url, scribble, { path, milliseconds: 2000, seed: 7 });
    assertEquals(await child.said(), "ready");
    let done = false;
    const end = child.said().then(() => done = true);
    const codes = new Set<string>();
    let calls = 0;
    const attempt = async (call: () => unknown) => {
      calls++;
      const began = performance.now();
      try {
        await call();
      } catch (error) {
        if (!(error instanceof IpcError)) throw error;
        codes.add(error.code);
      }
      assert(performance.now() - began < 60_000);
    };
    while (!done) {
      await attempt(() => publisher.publish({ n: calls, text: "x".repeat(calls % 500) }));
      for (const subscriber of [values, oldest]) {
        await attempt(() => subscriber.tryRecv());
        await attempt(() => subscriber.recv({ timeout: 2 }));
        await attempt(() => subscriber.tryBorrow()?.[Symbol.dispose]());
        await attempt(() => subscriber.recvSync({ timeout: 1 }));
      }
      await attempt(() => IpcSubscriber.open(path).close());
      await new Promise((resolve) => setTimeout(resolve));
    }
    await end;
    for (const code of codes) {
      assert(
        ["Corrupt", "Serialization", "Timeout", "TooLarge", "Closed"].includes(code),
        code,
      );
    }
  },
);
