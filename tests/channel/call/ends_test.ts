// How calls end with their line, from either side.
import { assert, assertEquals } from "@std/assert";
import { type Call, duplex, expose, type IpcError, remote } from "../../../mod.ts";
import { assertIpcError, soon } from "../../support/assert_ipc.ts";
import { test } from "../../support/test.ts";

test("The end of the other side fails every call: those that it never received are told apart", async () => {
  const [here, there] = duplex<unknown, unknown>();
  const caller = remote<{ a(n: number): void }>(here);
  const early = caller.a(0); // nothing is exposed yet
  await there.send([0, 1, 2]);
  assertEquals(await soon(there.recv()), [1, 1, "a", [0]]);
  const calls = [early, caller.a(1), caller.a(2)].map((call) => soon(call).catch((error) => error));
  while (there.tryRecv().state === "message"); // nothing: the loop below receives it
  const unread = [...calls];
  await new Promise((resolve) => setTimeout(resolve, 20));
  there.close();
  const errors = await Promise.all(unread) as IpcError[];
  assertEquals(errors.map(({ code }) => code), ["Disconnected", "Disconnected", "Disconnected"]);
  assertEquals(errors[0]!.delivered, true);
  assertEquals(errors[2]!.delivered, false);
  assertEquals((await assertIpcError("Disconnected", () => soon(caller.a(3)))).delivered, false);
  here.close();
});

test("Calls that lie in the ring unread were not delivered", async () => {
  const [here, there] = duplex<unknown, unknown>();
  const caller = remote<{ a(n: number): void }>(here);
  there.sendSync([0, 1, 10]);
  const calls = Array.from({ length: 5 }, (_, n) => soon(caller.a(n)).catch((error) => error));
  assertEquals(await soon(there.recv()), [1, 1, "a", [0]]);
  for (let n = 1; n < 3; n++) assertEquals(await soon(there.recv()), [1, 1 + n, "a", [n]]);
  await new Promise((resolve) => setTimeout(resolve, 20)); // the others are in the ring by now
  there.close();
  const errors = await Promise.all(calls) as IpcError[];
  assertEquals(errors.map(({ delivered }) => delivered), [true, true, true, false, false]);
  here.close();
});

test("The end of the caller ends expose(), and aborts the signals of the calls that are under way", async () => {
  const aborted = Promise.withResolvers<IpcError>(), begun = Promise.withResolvers<void>();
  const api = {
    wait(this: Call) {
      this.signal.addEventListener("abort", () => aborted.resolve(this.signal.reason));
      begun.resolve();
      return new Promise<never>(() => {});
    },
  };
  const [here, there] = duplex();
  const exposed = expose(there, api);
  const waiting = assertIpcError("Closed", () => soon(remote<typeof api>(here).wait()));
  await soon(begun.promise);
  here.close();
  await waiting;
  await soon(exposed);
  assertEquals((await soon(aborted.promise)).code, "Disconnected");
  there.close();
});

test("The signal of expose() lets calls that are under way be answered, and begins no other", async () => {
  const [here, there] = duplex();
  const gate = Promise.withResolvers<string>(), stop = new AbortController();
  const api = { work: () => gate.promise, quick: () => 1 };
  const exposed = expose(there, api, { signal: stop.signal });
  const caller = remote<typeof api>(here);
  const working = caller.work();
  assertEquals(await soon(caller.quick()), 1);
  stop.abort();
  const refused = await assertIpcError("Closed", () => soon(caller.quick()));
  assertEquals(refused.delivered, false);
  gate.resolve("done");
  assertEquals(await soon(working), "done");
  await soon(exposed);
  const again = expose(there, { quick: () => 2 });
  assertEquals(await soon(caller.quick()), 2);
  here.close();
  await soon(again);
  await expose(there, {}); // its peer is gone
  there.close();
  await assertIpcError("Closed", () => expose(there, {}));
});

test("Disposing of a caller closes the conversation; calls under way fail with Closed", async () => {
  const [here, there] = duplex();
  const exposed = expose(there, { wait: () => new Promise<never>(() => {}) });
  let waiting: Promise<unknown>;
  {
    using caller = remote<{ wait(): Promise<never> }>(here);
    waiting = assertIpcError("Closed", () => soon(caller.wait()));
  }
  await waiting;
  await soon(exposed);
  assert(here.closed);
  there.close();
});
