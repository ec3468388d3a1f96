// Many calls that wait at their caller, and names of any length.
import { assert, assertEquals } from "@std/assert";
import { duplex, expose, remote } from "../../../mod.ts";
import { assertIpcError, soon } from "../../support/assert_ipc.ts";
import { test } from "../../support/test.ts";

test("Of 30,000 calls that wait, those that are given up are never begun; the others are, in their order", async () => {
  const [here, there] = duplex();
  const begun: number[] = [];
  const gate = Promise.withResolvers<void>();
  const api = {
    async work(n: number) {
      begun.push(n);
      if (n === 0) await gate.promise;
      return n;
    },
  };
  const exposed = expose(there, api, { concurrency: 1 });
  const caller = remote<typeof api>(here);
  const first = caller.work(0);
  while (begun.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const stops: AbortController[] = [], answers: Promise<number | string>[] = [];
  for (let n = 1; n < 30_000; n++) {
    const stop = new AbortController();
    stops.push(stop);
    answers.push(caller.with({ signal: stop.signal }).work(n).catch((reason) => `${reason}`));
  }
  // From both ends, and in between.
  for (let n = 1; n < 30_000; n++) if (n < 2000 || n > 29_000 || n % 3 === 0) stops[n - 1]!.abort(`enough of ${n}`);
  gate.resolve();
  assertEquals(await soon(first), 0);
  const kept = (n: number) => n >= 2000 && n <= 29_000 && n % 3 !== 0;
  assertEquals(
    await soon(Promise.all(answers)),
    answers.map((_, i) => kept(i + 1) ? i + 1 : `enough of ${i + 1}`),
  );
  assertEquals(begun, [0, ...Array.from({ length: 30_000 }, (_, n) => n).filter((n) => n > 0 && kept(n))]);
  here.close(), there.close();
  await soon(exposed);
});

test("A name of any length is cut in messages", async () => {
  const [here, there] = duplex();
  const exposed = expose(there, {});
  const caller = remote<Record<string, () => void>>(here);
  const error = await assertIpcError("NotFound", () => caller["x".repeat(100_000)]!());
  assert(error.message.length < 300, `${error.message.length}`);
  assertEquals(error.delivered, false);
  here.close(), there.close();
  await soon(exposed);
});
