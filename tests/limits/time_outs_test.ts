// How exactly time-outs are kept: never early, and within a few milliseconds where the machine has the time.
import { assert, assertEquals } from "@std/assert";
import { channel, IpcArc, type IpcError, IpcOneShotServer, IpcReceiverSet, IpcServer } from "../../mod.ts";
import { test } from "../support/test.ts";

/** Milliseconds asked for: no whole number, nor a multiple of anything. */
const TIMEOUT = 23.7;

/** Milliseconds that a time-out may be late, at the best of several attempts: a busy machine delays some, not all. */
const A_FEW = 10;

const ATTEMPTS = 200;

/** Every call with a time-out, prepared so that nothing comes of it; also how to clean up. */
const WAITS: Record<string, () => [wait: (timeout: number) => unknown, close: () => void]> = {
  "recv()": () => receiving((receiver, timeout) => receiver.recv({ timeout })),
  "recvSync()": () => receiving((receiver, timeout) => receiver.recvSync({ timeout })),
  "borrow()": () => receiving((receiver, timeout) => receiver.borrow({ timeout })),
  "borrowSync()": () => receiving((receiver, timeout) => receiver.borrowSync({ timeout })),
  "send() on a full ring": () => sending((sender, timeout) => sender.send(0, { timeout })),
  "sendSync() on a full ring": () => sending((sender, timeout) => sender.sendSync(0, { timeout })),
  "sendWhenEmpty()": () => sending((sender, timeout) => sender.sendWhenEmpty(0, { timeout })),
  "select()": () => selecting((set, timeout) => set.select({ timeout })),
  "selectSync()": () => selecting((set, timeout) => set.selectSync({ timeout })),
  "IpcServer.accept()": () => serving(new IpcServer(), (server, timeout) => server.accept({ timeout })),
  "IpcServer.acceptSync()": () => serving(new IpcServer(), (server, timeout) => server.acceptSync({ timeout })),
  "IpcOneShotServer.accept()": () => serving(new IpcOneShotServer(), (server, timeout) => server.accept({ timeout })),
  "IpcOneShotServer.acceptSync()": () =>
    serving(new IpcOneShotServer(), (server, timeout) => server.acceptSync({ timeout })),
  "IpcArc.acquire()": () => {
    const arc = IpcArc.create(`isthmus-test-${crypto.randomUUID()}`, 0);
    const guard = arc.acquireSync();
    return [(timeout) => arc.acquire({ timeout }), () => (guard.release(), arc.close())];
  },
};

type Ends = ReturnType<typeof channel<number>>;

function receiving(wait: (receiver: Ends[1], timeout: number) => unknown): [(timeout: number) => unknown, () => void] {
  const [sender, receiver] = channel<number>();
  return [(timeout) => wait(receiver, timeout), () => (sender.close(), receiver.close())];
}

function sending(wait: (sender: Ends[0], timeout: number) => unknown): [(timeout: number) => unknown, () => void] {
  const [sender, receiver] = channel<number>({ capacity: 65_536 });
  while (sender.trySend(0));
  return [(timeout) => wait(sender, timeout), () => (sender.close(), receiver.close())];
}

function selecting(
  wait: (set: IpcReceiverSet, timeout: number) => unknown,
): [(timeout: number) => unknown, () => void] {
  const set = new IpcReceiverSet();
  const senders = Array.from({ length: 10 }, () => {
    const [sender, receiver] = channel<number>({ capacity: 65_536 });
    set.add(receiver);
    return sender;
  });
  return [(timeout) => wait(set, timeout), () => (set.close(), senders.forEach((sender) => sender.close()))];
}

function serving<S extends { close(): void }>(
  server: S,
  wait: (server: S, timeout: number) => unknown,
): [(timeout: number) => unknown, () => void] {
  return [(timeout) => wait(server, timeout), () => server.close()];
}

for (const [name, prepare] of Object.entries(WAITS)) {
  test(`${name} keeps its time-out to within a few milliseconds, and is never early`, async () => {
    const [wait, close] = prepare();
    let best = Infinity;
    for (let attempt = 0; attempt < ATTEMPTS && best > A_FEW; attempt++) {
      const begin = performance.now();
      let code: string | undefined;
      try {
        await wait(TIMEOUT);
      } catch (error) {
        code = (error as IpcError).code;
      }
      const late = performance.now() - begin - TIMEOUT;
      assertEquals(code, "Timeout");
      assert(late >= 0, `${-late} ms early`);
      best = Math.min(best, late);
    }
    assert(best <= A_FEW, `${best} ms late at best`);
    close();
  });
}
