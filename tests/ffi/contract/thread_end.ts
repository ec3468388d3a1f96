// What the end of a thread must do.
import { assert, assertEquals } from "@std/assert";
import type { IpcFd, IpcSender } from "../../../mod.ts";
import { channel } from "../../../mod.ts";
import { patience } from "../../support/patience.ts";
import { soon } from "../../support/assert_ipc.ts";
import { processTest, test } from "../../support/test.ts";
import { Threads } from "../../support/threads.ts";
import { backendOf } from "./backends.ts";

interface Job {
  backend: string;
  guarded: IpcFd;
  spared: IpcFd;
  ready: IpcSender<string>;
}

/** Has a bare handle closed with the thread, and another one not, and stays. */
export async function stay({ backend, guarded, spared, ready }: Job): Promise<void> {
  const { threadEnds } = backendOf(backend);
  threadEnds.guard(guarded.take());
  threadEnds.unguard(threadEnds.guard(spared.take()));
  await ready.send("ready");
  await new Promise((resolve) => setTimeout(resolve, patience(60_000)));
}

/** Registers the tests for one back end. */
export function conformance(backend: string): void {
  const { threadEnds, doorbells } = backendOf(backend);

  test(`${backend}: a guard of the main thread costs nothing to take back`, () => {
    const [listen, ring] = doorbells.create();
    threadEnds.unguard(threadEnds.guard(ring.fd));
    assert(doorbells.hasListener(ring), "the handle is still open");
    listen.close(), ring.close();
  });

  processTest(
    `${backend}: a terminated Worker closes what is guarded, and nothing else`,
    async () => {
      const [listen, guarded] = doorbells.create(), [listenToo, spared] = doorbells.create();
      const [ready, isReady] = channel<string>();
      const threads = new Threads();
      await threads.start(import.meta.url, stay, { backend, guarded, spared, ready });
      assertEquals(await soon(isReady.recv()), "ready");
      const listener = doorbells.listener(listen), other = doorbells.listener(listenToo);
      guarded.close(), spared.close();
      assert(!listener.hungUp);
      await threads.end();
      assertEquals(listener.waitSync(performance.now() + patience(10_000)), "hangup");
      assert(!other.hungUp);
      listener.close(), other.close(), ready.close(), isReady.close();
    },
    "the Worker's handle that nobody closes, and Deno's own for it, stay open until the process ends",
  );
}
