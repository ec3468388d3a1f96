import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { IpcFd } from "../../../mod.ts";
import {
  anyBellAwaited,
  BellListener,
  createDoorbell,
  drain,
  hasListener,
  ringBell,
} from "../../../ffi/event/doorbell.ts";
import { hasEnded, isAlive, ownThread } from "../../../ffi/process/liveness.ts";
import { pauseSync } from "../../../ffi/event/pause.ts";
import { pollUntil } from "../../../ffi/event/poll.ts";
import type { Self } from "../../support/actor.ts";
import { soon } from "../../support/assert_ipc.ts";
import { patience } from "../../support/patience.ts";
import { stateOf } from "../../support/processes.ts";
import { processTest, test } from "../../support/test.ts";

// --- Who lives -------------------------------------------------------------------------------------------------------

test("This thread lives; with another start time it does not, and what cannot be known lives", () => {
  const self = ownThread();
  assert(self.tid > 0 && self.start !== 0);
  assert(isAlive(self));
  assert(!isAlive({ ...self, start: self.start + 1 }), "the number was used again");
  assert(isAlive({ ...self, start: 0 }));
  assert(isAlive({ ...self, start: self.start + 1, namespace: self.namespace + 1 }));
  assert(isAlive({ tid: 0, start: 0, namespace: self.namespace }));
  assert(!isAlive({ ...self, tid: 0x7ffffff0 }));
  assert(!hasEnded(Deno.pid, self.tid));
  assert(hasEnded(0x7ffffff0, 0x7ffffff0));
});

/** Says who it is, and waits. */
export function introduce(_job: null, self: Self): void {
  self.say(ownThread());
  self.hear();
}

processTest("A stopped process lives, a killed one does not, not even as a zombie", async ({ start }) => {
  const child = await start(import.meta.url, introduce, null);
  const thread = await child.said<ReturnType<typeof ownThread>>();
  assertEquals(thread.tid, child.pid);
  assert(thread.start !== 0 && thread.namespace === ownThread().namespace);
  assert(isAlive(thread));
  child.signal("SIGSTOP");
  await child.stopped();
  assert(isAlive(thread));
  child.signal("SIGKILL");
  // Blocking, so that the event loop has no chance to reap it.
  while (stateOf(child.pid) !== "Z");
  assert(!isAlive(thread), "a zombie is dead");
  await child.status;
  assert(!isAlive(thread));
  assert(hasEnded(child.pid, thread.tid));
});

// --- Doorbells -------------------------------------------------------------------------------------------------------

test("A doorbell wakes a blocking and an asynchronous listener, and counts a full pipe as rung", async () => {
  const [listen, bell] = createDoorbell();
  const listener = new BellListener(listen);
  assertEquals(listener.waitSync(performance.now() + 10), "timeout");
  assert(ringBell(bell.fd));
  assertEquals(listener.waitSync(Infinity), "rung");
  assertEquals(listener.waitSync(performance.now()), "timeout", "the ring was taken out");
  let rings = 0;
  for (; rings < 100_000; rings++) assert(ringBell(bell.fd));
  assertEquals(listener.waitSync(Infinity), "rung");
  drain(listen.fd);

  const rung = new Promise<void>((resolve) => listener.listen(resolve));
  listener.awaited = true;
  ringBell(bell.fd);
  await soon(rung);
  listener.close(), bell.close();
});

test("When every ringer is gone the listener is told, once the rings were heard", async () => {
  const [listen, bell] = createDoorbell();
  const listener = new BellListener(listen);
  const clone = bell.clone();
  bell.close();
  assert(!listener.hungUp);
  ringBell(clone.fd);
  clone.close();
  assert(listener.hungUp);
  assertEquals(listener.waitSync(Infinity), "rung");
  assertEquals(listener.waitSync(Infinity), "hangup");
  const told = new Promise<void>((resolve) => listener.listen(resolve));
  listener.awaited = true;
  await soon(told);
  listener.close();
});

test("When the listener is gone, ringing says so", () => {
  const [listen, bell] = createDoorbell();
  assert(hasListener(bell.fd));
  listen.close();
  assert(!hasListener(bell.fd));
  assert(!ringBell(bell.fd));
  bell.close();
});

/** Holds an end of a doorbell. */
export function hold(_job: { end: IpcFd }, self: Self): void {
  self.say();
  self.hear();
}

processTest("A killed ringer is the end for the listener, a killed listener for the ringer", async ({ start }) => {
  const [listen, bell] = createDoorbell();
  const ringer = await start(import.meta.url, hold, { end: bell });
  await ringer.said();
  bell.close();
  const listener = new BellListener(listen);
  assert(!listener.hungUp);
  await ringer.kill();
  assertEquals(listener.waitSync(performance.now() + patience(10_000)), "hangup");
  listener.close();

  const [listen2, bell2] = createDoorbell();
  const other = await start(import.meta.url, hold, { end: listen2 });
  await other.said();
  listen2.close();
  assert(hasListener(bell2.fd));
  await other.kill();
  assert(!hasListener(bell2.fd) && !ringBell(bell2.fd));
  bell2.close();
});

test("Polling ends at its deadline, not before, and not at all without one", () => {
  const [listen, bell] = createDoorbell();
  const began = performance.now();
  assertEquals(pollUntil(listen.fd, 1, began + 15.5), 0);
  assert(performance.now() >= began + 15.5);
  assertEquals(pollUntil(listen.fd, 1, 0), 0);
  ringBell(bell.fd);
  assertEquals(pollUntil(listen.fd, 1, Infinity) & 1, 1);
  listen.close(), bell.close();
});

test("A doorbell is waited for briefly: until it rings, until nobody can ring it, or until the time is over", () => {
  const [listen, bell] = createDoorbell();
  const listener = new BellListener(listen);
  const waited = () => {
    const began = performance.now();
    listener.waitBriefly(900_000);
    return performance.now() - began;
  };
  assert(waited() >= 900);
  ringBell(bell.fd);
  assert(waited() < 900, "it was rung");
  assertEquals(listener.waitSync(0), "timeout", "and the ring was taken out");
  bell.close();
  assert(waited() < 900, "nobody is left");
  listener.close();
});

test("Brief waits for a doorbell end in time, whatever the waits before them were for", () => {
  const [listen, bell] = createDoorbell();
  const listener = new BellListener(listen);
  const waited = (microseconds: number, rung: boolean) => {
    if (rung) ringBell(bell.fd);
    const began = performance.now();
    listener.waitBriefly(microseconds);
    return performance.now() - began;
  };
  waited(900_000, true);
  assert(waited(1000, false) < 600, "not when the longer one would have been over");
  for (const before of [20_000, 45_000, 59_000]) {
    waited(before, true);
    assert(waited(60_000, false) >= 60, `${before} µs before`);
  }
  waited(1000, false);
  pauseSync(5);
  assert(waited(30_000, false) >= 30, "nor at once because an earlier one is over");
  const began = performance.now();
  for (let i = 0; i < 3; i++) waited(0, false);
  assert(performance.now() - began < 600);
  listener.close(), bell.close();
});

test("Whether any doorbell is awaited is known, also after one was closed that was", () => {
  const listeners = [createDoorbell(), createDoorbell()].map(([listen, bell]) => {
    bell.close();
    return new BellListener(listen);
  });
  assert(!anyBellAwaited());
  for (const listener of listeners) listener.awaited = true;
  listeners[0]!.awaited = false;
  assert(anyBellAwaited());
  listeners[1]!.close(), listeners[1]!.close();
  assert(!anyBellAwaited());
  listeners[0]!.close();
  assert(!anyBellAwaited());
});

// --- Permissions -----------------------------------------------------------------------------------------------------

const MOD = new URL("../../../mod.ts", import.meta.url).href;

/** Sends and receives here, and says how it went. */
const HERE = `
  import { channel, IpcOneShotServer, IpcSender } from "${MOD}";
  try {
    const [sender, receiver] = channel();
    await sender.send({ n: 1 });
    const server = new IpcOneShotServer();
    const other = IpcSender.connect(server.name);
    await other.send(2);
    const [, first] = await server.accept();
    console.log((await receiver.recv()).n + first, "received");
  } catch (error) {
    console.log(error.name, error.code, error.message);
  }
`;

processTest("Without --allow-ffi the error names the flag, and importing alone asks for nothing", async ({ spawn }) => {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/here.ts`;
  await Deno.writeTextFile(file, HERE);
  const config = new URL("../../../deno.json", import.meta.url).pathname;
  const output = async (...flags: string[]) => {
    const child = spawn([
      "run",
      "--quiet",
      "--no-prompt",
      `--config=${config}`,
      "--no-lock",
      ...flags,
      file,
    ]);
    return await child.text();
  };
  assertStringIncludes(await output(), "IpcError Permission");
  assertStringIncludes(await output(), "--allow-ffi");
  assertEquals(await output("--allow-ffi"), "3 received\n", "it needs no other permission");
  await Deno.remove(folder, { recursive: true });
});
