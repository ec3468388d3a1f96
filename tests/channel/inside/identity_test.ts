// Who owns a slot: several that come for the same one at the same moment, and one that dies while it takes it.
import { assertEquals } from "@std/assert";
import { IpcReceiver } from "../../../mod.ts";
import { ID_LOCK, SLOTS } from "../../../channel/ring/layout.ts";
import { claimIdentity, clearIdentity, isIdentityAlive } from "../../../channel/ring/owner.ts";
import { ownDescription, tryTakePlace } from "../../../ffi/file/file_lock.ts";
import { ownPid, ownThread } from "../../../ffi/process/liveness.ts";
import { sealedMemory } from "../../../ffi/memory/sealed_memory.ts";
import type { Self } from "../../support/actor.ts";
import { beforeAtomic } from "../../support/atomics.ts";
import { assertIpcErrorSync } from "../../support/assert_ipc.ts";
import { folderTest } from "../../support/folder.ts";
import { processTest, test } from "../../support/test.ts";

/** Thread id, start time, namespace and process id of this thread. */
function self(): number[] {
  const { tid, start, namespace } = ownThread();
  return [tid, start, namespace, ownPid()];
}

test("Of two that come for a dead owner's slot one gets it, and leaves its whole identity, wherever they meet", () => {
  using file = sealedMemory("test", 4096);
  let met = 0;
  for (let nth = 1;; nth++) {
    const words = new Int32Array(16);
    words.set([1, 12_345, ownThread().namespace, 1]); // thread 1 did not start then
    assertEquals(isIdentityAlive(words, 0, file), false);
    let second: boolean | undefined;
    const restore = beforeAtomic(nth, () => second = claimIdentity(words, 0, true));
    const first = claimIdentity(words, 0, true);
    restore();
    if (second === undefined) break; // there is no such operation
    met++;
    assertEquals([first, second].filter((got) => got).length, 1, `met before operation ${nth}`);
    assertEquals([...words.subarray(0, 4)], self(), `met before operation ${nth}`);
    assertEquals(isIdentityAlive(words, 0, file), true);
  }
  assertEquals(met >= 3, true, `${met} places to meet`);
});

test("A slot that its owner gave up is free, and one of a living owner is not taken over", () => {
  using file = sealedMemory("test", 4096);
  const words = new Int32Array(16);
  assertEquals(claimIdentity(words, 0, false), true);
  assertEquals(claimIdentity(words, 0, true), false);
  clearIdentity(words, 0);
  assertEquals(isIdentityAlive(words, 0, file), false);
  assertEquals([...words], Array.from({ length: 16 }, () => 0));
  assertEquals(claimIdentity(words, 0, false), true);
});

test("An owner in another PID namespace is dead when its lock is gone, and not before", () => {
  using file = sealedMemory("test", 4096);
  using theirs = ownDescription(file.fd)!;
  using ours = ownDescription(file.fd)!;
  assertEquals(tryTakePlace(theirs.fd, SLOTS), true);
  const words = new Int32Array(16);
  words.set([1, 12_345, ownThread().namespace ^ 1, 1]);
  // One that holds no lock may live, whatever else is locked.
  assertEquals(isIdentityAlive(words, 0, file), true);
  assertEquals(claimIdentity(words, 0, true), false);
  words[ID_LOCK] = 1;
  assertEquals(isIdentityAlive(words, 0, file), true);
  assertEquals(claimIdentity(words, 0, true, ours), false);
  theirs.close(); // as the kernel does
  assertEquals(isIdentityAlive(words, 0, file), false);
  assertEquals(claimIdentity(words, 0, true), false); // by who could not keep others off meanwhile
  assertEquals(claimIdentity(words, 0, false, ours), false);
  assertEquals(claimIdentity(words, 0, true, ours), true);
  assertEquals([...words.subarray(0, 4), words[ID_LOCK]], [...self(), 1]);
  assertEquals(isIdentityAlive(words, 0, file), true);
  clearIdentity(words, 0, ours);
  assertEquals(words[ID_LOCK], 0);
  using others = ownDescription(file.fd)!;
  assertEquals(claimIdentity(words, 0, false, others), true);
});

test("One that took a dead owner's slot in another PID namespace, and died before it was done, is dead as well", () => {
  using file = sealedMemory("test", 4096);
  using theirs = ownDescription(file.fd)!;
  using ours = ownDescription(file.fd)!;
  const words = new Int32Array(16);
  const namespace = ownThread().namespace ^ 1;
  for (const lock of [theirs, undefined]) {
    // The state in which `claimIdentity` leaves it meanwhile, with what the dead owner had written.
    words.set([-(lock === undefined ? 7 : 7 | 0x4000_0000), namespace, ownThread().namespace, 1]);
    words[ID_LOCK] = 0;
    if (lock !== undefined) assertEquals(tryTakePlace(lock.fd, SLOTS), true);
    assertEquals(isIdentityAlive(words, 0, file), true);
    assertEquals(claimIdentity(words, 0, true, ours), false);
    lock?.close();
    assertEquals(isIdentityAlive(words, 0, file), lock === undefined);
    assertEquals(claimIdentity(words, 0, true, ours), lock !== undefined);
    clearIdentity(words, 0, ours);
  }
});

processTest("What holds the locks is closed in programs that this one starts", () => {
  using file = sealedMemory("test", 4096);
  using own = ownDescription(file.fd)!;
  const flags = /flags:\s+(\d+)/.exec(Deno.readTextFileSync(`/proc/self/fdinfo/${own.fd}`))![1]!;
  assertEquals((parseInt(flags, 8) & 0o2000000) !== 0, true, `flags ${flags}`);
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
