// A peer sends files of a file system of its own, in which a process that reads, looks or closes waits: nobody does.
import { assert } from "@std/assert";
import { IpcError } from "../../mod.ts";
import { W_SPACE } from "../../channel/ring/layout.ts";
import { encodeCbor } from "../../cbor/mod.ts";
import { libc } from "../../ffi/libc/libc.ts";
import { O_CLOEXEC } from "../../ffi/libc/platform.ts";
import type { Self } from "../support/actor.ts";
import { patience } from "../support/patience.ts";
import { processTest } from "../support/test.ts";
import { DESCRIPTORS, HostilePeer, MESSAGE, SPACE_BELL, victim } from "./forge.ts";
import { serveSlowly, unmount } from "./slow_files.ts";

/** Milliseconds after which that file system answers. */
const DELAY = patience(4000);

/** Receives such files in every place, and says how long each took. Ends without waiting for them to be closed. */
export async function receiveSlowFiles({ path }: { path: string }, self: Self): Promise<void> {
  const { sender, receiver, raw } = victim<unknown>();
  const peer = new HostilePeer(raw);
  const file = libc().c.open(new TextEncoder().encode(path + "\0"), O_CLOEXEC, 0);
  const times: Record<string, number> = {};
  const time = async (what: string, act: () => unknown) => {
    const began = performance.now();
    try {
      await act();
    } catch (error) {
      if (!(error instanceof IpcError)) throw error;
    }
    times[what] = performance.now() - began;
  };
  peer.outOfLine(file, 100_000);
  await time("a body, recv()", () => receiver.recv({ timeout: 100 }));
  peer.outOfLine(file, 100_000);
  await time("a body, recvSync()", () => receiver.recvSync({ timeout: 100 }));
  let counter = 0;
  const send = (fds: number[], payload: Uint8Array) => {
    peer.packet(MESSAGE, 2048, ++counter, fds.length, fds);
    peer.extended({ flags: DESCRIPTORS, slot: 2048, counter, count: fds.length }, payload);
  };
  send([file, file, file], Uint8Array.of(1));
  await time("what nobody asked for", () => receiver.recvSync({ timeout: 100 }));
  for (const kind of ["sender", "receiver", "shared-memory", "unknown"]) {
    for (const place of [0, 1, 2]) {
      const fds = [raw.ring.fd, kind === "sender" ? raw.bell.fd : raw.listen.fd, raw.socket.fd];
      fds[place] = file;
      send(fds, Uint8Array.of(0xd8, 27, ...encodeCbor(["isthmus", kind, 0])));
      await time(`${kind}, descriptor ${place}`, async () => {
        // deno-lint-ignore no-explicit-any
        let end = receiver.recvSync({ timeout: 100 }) as any;
        // What a sender to this very ring has sent.
        while (typeof end !== "object") end = receiver.recvSync({ timeout: 100 });
        try {
          end.trySend?.(1), end.tryRecv?.();
          await end.recv?.({ timeout: 10 });
        } finally {
          end.close();
        }
      });
    }
  }
  peer.packet(SPACE_BELL, 0, 0, 1, [file]);
  Atomics.store(peer.words, W_SPACE, 1);
  sender.sendSync(1);
  await time("a space bell", () => receiver.recvSync({ timeout: 100 }));
  self.say(times);
  await new Promise(() => setTimeout(() => {}, 1e6));
}

processTest("A file of a slow file system, in any place, makes no call wait", async ({ start }) => {
  const folder = Deno.makeTempDirSync({ prefix: "isthmus-slow-" });
  const serving = await start(import.meta.url, serveSlowly, { folder, delay: DELAY });
  try {
    if (!await serving.said<boolean>()) {
      console.log("Not tested, as it needs root and /dev/fuse");
      return;
    }
    const receiving = await start(import.meta.url, receiveSlowFiles, { path: `${folder}/file` });
    for (const [what, took] of Object.entries(await receiving.said<Record<string, number>>())) {
      assert(took < DELAY - 1000, `${what}: ${took} ms`);
    }
    receiving.signal("SIGKILL"); // it is gone when the file system has let go of its files
  } finally {
    unmount(folder);
    await serving.kill();
    Deno.removeSync(folder);
  }
});

export { serveSlowly };
