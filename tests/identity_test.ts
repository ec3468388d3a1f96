// Who owns a slot: several that come for the same one at the same moment, and one that dies while it takes it.
import { assertEquals } from "@std/assert";
import { IpcReceiver } from "../mod.ts";
import { claimIdentity, clearIdentity, isIdentityAlive } from "../channel/identity.ts";
import { ownPid, ownThread } from "../ffi/liveness.ts";
import type { Self } from "./support/actor.ts";
import { assertIpcErrorSync } from "./support/assert_ipc.ts";
import { folderTest } from "./support/folder.ts";
import { test } from "./support/test.ts";

type Atomic = (...args: unknown[]) => unknown;

/** Calls `act` before the `nth` atomic operation of what follows; returns how to stop that. */
function beforeAtomic(nth: number, act: () => void): () => void {
  const all = Atomics as unknown as Record<string, Atomic>;
  const originals = new Map(["load", "store", "compareExchange"].map((name) => [name, all[name]!]));
  const restore = () => originals.forEach((original, name) => all[name] = original);
  for (const [name, original] of originals) {
    all[name] = (...args) => {
      if (--nth === 0) {
        restore();
        act();
      }
      return original(...args);
    };
  }
  return restore;
}

/** Thread id, start time, namespace and process id of this thread. */
function self(): number[] {
  const { tid, start, namespace } = ownThread();
  return [tid, start, namespace, ownPid()];
}

test("Of two that come for a dead owner's slot one gets it, and leaves its whole identity, wherever they meet", () => {
  let met = 0;
  for (let nth = 1;; nth++) {
    const words = new Int32Array(16);
    words.set([1, 12_345, ownThread().namespace, 1]); // thread 1 did not start then
    assertEquals(isIdentityAlive(words, 0), false);
    let second: boolean | undefined;
    const restore = beforeAtomic(nth, () => second = claimIdentity(words, 0, true));
    const first = claimIdentity(words, 0, true);
    restore();
    if (second === undefined) break; // there is no such operation
    met++;
    assertEquals([first, second].filter((got) => got).length, 1, `met before operation ${nth}`);
    assertEquals([...words.subarray(0, 4)], self(), `met before operation ${nth}`);
    assertEquals(isIdentityAlive(words, 0), true);
  }
  assertEquals(met >= 3, true, `${met} places to meet`);
});

test("A slot that its owner gave up is free, and one of a living owner is not taken over", () => {
  const words = new Int32Array(16);
  assertEquals(claimIdentity(words, 0, false), true);
  assertEquals(claimIdentity(words, 0, true), false);
  clearIdentity(words, 0);
  assertEquals(isIdentityAlive(words, 0), false);
  assertEquals([...words], Array.from({ length: 16 }, () => 0));
  assertEquals(claimIdentity(words, 0, false), true);
});

/** Is killed before an atomic operation of receiving from a channel; says so if it is not. */
export function dieTakingPlace({ path, nth }: { path: string; nth: number }, line: Self): void {
  beforeAtomic(nth, () => Deno.kill(Deno.pid, "SIGKILL"));
  IpcReceiver.create(path);
  line.say("survived");
  line.hear();
}

folderTest("A receiver killed at any moment of taking its place leaves it to the next one", async (
  { channel: path },
  { start },
) => {
  let deaths = 0;
  for (let nth = 1;; nth++) {
    const child = await start(import.meta.url, dieTakingPlace, { path, nth });
    const survived = await child.said().then(() => true, () => false);
    if (survived) assertIpcErrorSync("AlreadyExists", () => IpcReceiver.create(path));
    await child.kill();
    IpcReceiver.create(path).close();
    if (survived) break;
    deaths++;
  }
  assertEquals(deaths >= 3, true, `${deaths} deaths`);
});
