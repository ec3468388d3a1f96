// Which objects are registered with the garbage collector, and when.
import { assertEquals } from "@std/assert";
import { Backstop } from "../../../base/backstop.ts";
import { test } from "../../support/test.ts";

/** A backstop whose registry only notes what it is told. */
function noting(most?: number): { backstop: Backstop<number>; registered: Map<object, number>; times: () => number } {
  const registered = new Map<object, number>(), { FinalizationRegistry } = globalThis;
  let times = 0;
  class Registry {
    register(object: object, held: number, token: object): void {
      assertEquals(token, object);
      registered.set(object, held);
      times++;
    }
    unregister(object: object): void {
      registered.delete(object);
    }
  }
  globalThis.FinalizationRegistry = Registry as unknown as FinalizationRegistryConstructor;
  try {
    return { backstop: new Backstop<number>(() => {}, most), registered, times: () => times };
  } finally {
    globalThis.FinalizationRegistry = FinalizationRegistry;
  }
}

const settled = () => new Promise((resolve) => setTimeout(resolve));

test("What a program awaits, uses and ends is never registered, however often", async () => {
  const { backstop, times } = noting();
  const get = () => {
    const object = {};
    backstop.watch(object, 1);
    return Promise.resolve(object);
  };
  for (let n = 0; n < 100; n++) {
    backstop.unwatch(await get());
  }
  await settled();
  assertEquals(times(), 0);
});

test("What is left is registered before the event loop goes on, and beside others that end at once", async () => {
  const { backstop, registered } = noting();
  const kept = {};
  backstop.watch(kept, 7);
  for (let n = 0; n < 10; n++) {
    const object = {};
    backstop.watch(object, n);
    await Promise.resolve();
    backstop.unwatch(object);
  }
  assertEquals([...registered], [[kept, 7]]);
  await settled();
  assertEquals([...registered], [[kept, 7]]);
  backstop.unwatch(kept);
  assertEquals(registered.size, 0);
});

test("Objects that end in any order, and at any time, leave the others watched, each with what is held for it", async () => {
  const { backstop, registered } = noting(8);
  const open = new Map<object, number>();
  let state = 1;
  const random = (limit: number) => (state = state * 48_271 % 0x7fff_ffff) % limit;
  for (let n = 0; n < 20_000; n++) {
    const objects = [...open.keys()];
    if (random(5) < 3 && objects.length < 30) {
      const object = {};
      open.set(object, n);
      backstop.watch(object, n);
    } else if (objects.length > 0) {
      const object = objects[random(objects.length)]!;
      open.delete(object);
      backstop.unwatch(object);
    }
    if (random(6) === 0) await Promise.resolve();
    for (const [object, held] of registered) assertEquals(open.get(object), held);
    if (random(500) > 0) continue;
    await settled();
    assertEquals(registered.size, open.size);
  }
});
