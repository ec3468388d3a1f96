// A million routes, made and ended one after another. Takes minutes: run by `deno task test:slow`.
import { assert, assertEquals } from "@std/assert";
import { channel, IpcRouter } from "../../mod.ts";
import { descriptorsOf } from "../support/leftovers.ts";

Deno.test("1,000,000 routes made and ended one after another leave no descriptor open", async () => {
  const router = new IpcRouter();
  let before = 0;
  for (let n = 0; n < 1_000_000; n++) {
    const [sender, receiver] = channel<number>({ capacity: 65_536 });
    const handled = new Promise((resolve) => router.routeOnce(receiver, resolve));
    sender.sendSync(n);
    assertEquals(await handled, n);
    sender.close();
    if (n === 1000) before = descriptorsOf("self").length;
    if (n % 100_000 === 0) console.log(`${n} routes, ${descriptorsOf("self").length} descriptors`);
  }
  await router.shutdown();
  await new Promise((resolve) => setTimeout(resolve, 100));
  const after = descriptorsOf("self").length;
  assert(after <= before, `${after} descriptors, ${before} before`);
});
