import { assert, assertEquals } from "@std/assert";
import { type Call, duplex, expose, type IpcChild, IpcError, remote, spawn } from "../../../mod.ts";
import { assertIpcError, soon } from "../../support/assert_ipc.ts";
import { type api, CALLEE } from "../../support/callee.ts";
import { patience } from "../../support/patience.ts";
import { processTest } from "../../support/test.ts";

/** Starts a program that exposes methods, or calls, and may die at a step. */
function start(role: "callee" | "caller", step?: string, occurrence = 1): Promise<IpcChild<unknown, unknown>> {
  const args = step === undefined ? [role] : [role, step, `${occurrence}`];
  return spawn(CALLEE, { args, stdin: "null", permissions: ["-A"], timeout: patience(30_000) });
}

/** The error that each call fails with, or what it returns. */
function outcomes(calls: readonly Promise<unknown>[]): Promise<unknown[]> {
  return Promise.all(calls.map((call) => soon(call).catch((error) => error)));
}

processTest("Calls to another process, one by one and many under way", async () => {
  await using child = await start("callee");
  const caller = remote<typeof api>(child);
  assertEquals(await soon(caller.pid()), child.pid);
  for (let n = 0; n < 200; n++) assertEquals(await soon(caller.add(n, 1)), n + 1);
  const sums = await soon(Promise.all(Array.from({ length: 2000 }, (_, n) => caller.add(n, n))));
  assertEquals(sums, Array.from({ length: 2000 }, (_, n) => 2 * n));
  let sum = 0;
  for await (const n of caller.ticks()) if ((sum += n) > 10_000) break;
  assertEquals(await soon(caller.add(1, 1)), 2);
});

processTest("A callee that dies makes each call that is under way Disconnected", async () => {
  await using child = await start("callee");
  const caller = remote<typeof api>(child);
  await soon(caller.add(1, 2));
  const calls = [caller.wait(), caller.wait(), caller.die(), Array.fromAsync(caller.ticks())];
  for (const error of await outcomes(calls)) {
    assert(error instanceof IpcError);
    assertEquals(error.code, "Disconnected");
  }
  assertEquals((await assertIpcError("Disconnected", () => soon(caller.add(1, 2)))).delivered, false);
});

processTest("What a blocked callee never received when it was killed was not delivered", async () => {
  await using child = await start("callee");
  const caller = remote<typeof api>(child);
  await soon(caller.add(1, 2));
  const [here, there] = duplex<never, string>();
  const blocked = caller.block(there);
  assertEquals(await soon(here.recv()), "blocking");
  const calls = Array.from({ length: 10 }, () => caller.add(1, 2));
  child.kill("SIGKILL");
  const [first, ...rest] = await outcomes([blocked, ...calls]) as IpcError[];
  assertEquals([first!.code, first!.delivered], ["Disconnected", true]);
  for (const { code, delivered } of rest) assertEquals([code, delivered], ["Disconnected", false]);
  here.close();
});

for (const step of ["call-received", "call-started", "call-answering", "call-over"]) {
  processTest(
    `A callee killed at "${step}": what was answered is, the rest is Disconnected, nothing hangs`,
    async () => {
      await using child = await start("callee", step, 5);
      const caller = remote<typeof api>(child);
      const calls = Array.from({ length: 10 }, (_, n) => caller.add(n, 0));
      const results = await outcomes(calls);
      const answered = results.filter((result) => typeof result === "number");
      assertEquals(answered, Array.from({ length: step === "call-over" ? 5 : 4 }, (_, n) => n));
      for (const error of results.slice(answered.length) as IpcError[]) assertEquals(error.code, "Disconnected");
      const undelivered = (results.slice(answered.length) as IpcError[]).map(({ delivered }) => delivered);
      // The one that it died at was received; those behind it were not.
      const [atDeath, ...behind] = step === "call-over" ? [true, ...undelivered] : undelivered;
      assertEquals(atDeath, true);
      assertEquals(behind, behind.map(() => false));
      assertEquals((await soon(child.status)).signal, "SIGKILL");
    },
  );
}

for (const [step, noted] of [["call-sent", 2], ["call-answered", 2]] as const) {
  processTest(`A caller killed at "${step}" ends expose(), and the calls that it made`, async () => {
    await using child = await start("caller", step, 2);
    const words: string[] = [];
    await soon(expose(child, {
      note: (word: string) => void words.push(word),
      wait: () => new Promise<never>(() => {}),
    }));
    assert(words.length <= noted && words.every((word, n) => word === ["one", "two"][n]));
    assertEquals((await soon(child.status)).signal, "SIGKILL");
  });
}

processTest("The death of a caller aborts the signals of its calls", async () => {
  await using child = await start("caller");
  const aborted = Promise.withResolvers<unknown>();
  const exposed = expose(child, {
    note: () => {},
    wait(this: Call) {
      assertEquals(this.peer?.pid, child.pid);
      this.signal.addEventListener("abort", () => aborted.resolve(this.signal.reason));
      child.kill("SIGKILL");
      return new Promise<never>(() => {});
    },
  });
  assertEquals((await soon(aborted.promise) as IpcError).code, "Disconnected");
  await soon(exposed);
});

processTest("A stopped callee answers once it goes on", async () => {
  await using child = await start("callee");
  const caller = remote<typeof api>(child);
  await soon(caller.add(1, 2));
  child.kill("SIGSTOP");
  const late = await assertIpcError("Timeout", () => soon(caller.with({ timeout: 30 }).add(1, 2)));
  assertEquals(late.delivered, true);
  const call = caller.add(3, 4);
  child.kill("SIGCONT");
  assertEquals(await soon(call), 7);
});

/** What a program says that calls, and then has nothing left to do. */
processTest("A caller without calls under way does not keep its process alive", async ({ spawn: run }) => {
  const child = run(["run", "--quiet", "-A", new URL("../../support/idle_caller.ts", import.meta.url).href]);
  assertEquals((await soon(child.status)).code, 0);
});
