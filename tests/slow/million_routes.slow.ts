// A million routes, made and ended one after another. Takes minutes: run by `deno task test:slow`.
import { assert, assertEquals } from "@std/assert";
import { channel, IpcRouter } from "../../mod.ts";
import { descriptorsOf } from "../support/leftovers.ts";

const ROUTES = 1_000_000;
const MB = 1 << 20;

/** What this process has of what routes could leave behind. */
function state() {
  return {
    descriptors: descriptorsOf("self").length,
    mappings: Deno.readTextFileSync("/proc/self/maps").split("\n").filter((line) => line.includes("/memfd:")).length,
    resident: Math.round(Deno.memoryUsage().rss / MB),
    heap: Math.round(Deno.memoryUsage().heapUsed / MB),
  };
}

Deno.test("1,000,000 routes made and ended one after another leave no descriptor, mapping or memory behind", async () => {
  const router = new IpcRouter();
  let warm = state();
  const begin = performance.now();
  for (let n = 0; n < ROUTES; n++) {
    const [sender, receiver] = channel<number>({ capacity: 65_536 });
    const handled = new Promise((resolve) => router.routeOnce(receiver, resolve));
    sender.sendSync(n);
    assertEquals(await handled, n);
    sender.close();
    // The heap, and what the allocator keeps of it, have their final size after some hundred thousand.
    if (n === ROUTES / 2) warm = state();
    if (n % (ROUTES / 20) === 0) {
      const { descriptors, mappings, resident, heap } = state();
      const seconds = Math.round((performance.now() - begin) / 1000);
      console.log(
        `${n} routes, ${seconds} s: ${descriptors} descriptors, ${mappings} mappings, ${resident} MiB, heap ${heap} MiB`,
      );
    }
  }
  await router.shutdown();
  await new Promise((resolve) => setTimeout(resolve, 100));
  const end = state();
  assert(end.descriptors <= warm.descriptors, `${end.descriptors} descriptors, ${warm.descriptors} before`);
  assert(end.mappings <= warm.mappings, `${end.mappings} mappings, ${warm.mappings} before`);
  // 100 bytes a route would be 48 MiB.
  assert(end.resident < warm.resident + 48, `${end.resident} MiB, ${warm.resident} before`);
});
