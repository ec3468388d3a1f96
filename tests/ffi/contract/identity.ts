// What identities must do.
import { assert, assertEquals } from "@std/assert";
import type { ThreadIdentity } from "../../../ffi/process/liveness.ts";
import type { Self } from "../../support/actor.ts";
import { lookingTest, processTest, test } from "../../support/test.ts";
import { backendOf } from "./backends.ts";

/** Says who it is, and whether it takes another for alive. */
export function introduce({ backend, other }: { backend: string; other: ThreadIdentity }, self: Self): void {
  const { identities } = backendOf(backend);
  self.say({ own: identities.own(), process: identities.ownProcess(), seen: identities.isAlive(other) });
  self.hear();
}

/** Registers the tests for one back end. */
export function conformance(backend: string): void {
  const { identities } = backendOf(backend);

  lookingTest(`${backend}: this thread lives, and is the same each time`, () => {
    const own = identities.own();
    assertEquals(identities.own(), own);
    assert(own.tid > 0);
    assert(identities.isAlive(own));
    assert(!identities.hasEnded(identities.ownProcess(), own.tid));
    assertEquals(identities.ownProcess(), Deno.pid);
    assertEquals(identities.ownUser(), Deno.uid());
  });

  test(`${backend}: a number that is used again is another thread, and what cannot be known lives`, () => {
    const own = identities.own();
    assert(!identities.isAlive({ ...own, start: own.start + 1 }));
    assert(identities.isAlive({ ...own, start: own.start + 1, namespace: own.namespace + 1 }));
  });

  processTest(
    `${backend}: another process lives while it is stopped, and not once it was killed`,
    async ({ start }) => {
      const child = await start(import.meta.url, introduce, { backend, other: identities.own() });
      const { own, process, seen } = await child.said<{ own: ThreadIdentity; process: number; seen: boolean }>();
      assertEquals([process, seen], [child.pid, true]);
      assert(identities.isAlive(own) && !identities.hasEnded(process, own.tid));
      child.signal("SIGSTOP");
      await child.stopped();
      assert(identities.isAlive(own) && !identities.hasEnded(process, own.tid));
      await child.kill();
      assert(!identities.isAlive(own) && identities.hasEnded(process, own.tid));
    },
  );
}
