// What a doorbell must do.
import { assert, assertEquals } from "@std/assert";
import type { IpcFd } from "../../../mod.ts";
import { Trusted } from "../../../ffi/file/trust.ts";
import type { Self } from "../../support/actor.ts";
import { assertIpcErrorSync, soon } from "../../support/assert_ipc.ts";
import { patience } from "../../support/patience.ts";
import { lookingTest, processTest, test } from "../../support/test.ts";
import { backendOf } from "./backends.ts";

/** Rings once with an end that it was given, and holds it. */
export function ringThere({ backend, end }: { backend: string; end: IpcFd }, self: Self): void {
  const { doorbells } = backendOf(backend);
  const own = doorbells.accept(end, "ring");
  self.say(doorbells.ring(own));
  self.hear();
}

/** Holds an end, whichever it is. */
export function holdEnd(_job: { end: IpcFd }, self: Self): void {
  self.say();
  self.hear();
}

/** Registers the tests for one back end. */
export function conformance(backend: string): void {
  const { doorbells } = backendOf(backend);
  const soonEnough = () => performance.now() + patience(10_000);

  test(`${backend}: a doorbell is quiet until it is rung, and after it was heard`, () => {
    const [listen, ring] = doorbells.create();
    const listener = doorbells.listener(listen);
    assertEquals(listener.waitSync(performance.now() + 5), "timeout");
    assert(doorbells.ring(ring));
    assertEquals(listener.waitSync(soonEnough()), "rung");
    assertEquals(listener.waitSync(0), "timeout");
    assert(doorbells.ring(ring));
    listener.clear();
    assertEquals(listener.waitSync(0), "timeout");
    listener.close(), ring.close();
  });

  test(`${backend}: ringing never blocks, however often nobody hears it`, () => {
    const [listen, ring] = doorbells.create();
    for (let n = 0; n < 100_000; n++) assert(doorbells.ring(ring));
    const listener = doorbells.listener(listen);
    assertEquals(listener.waitSync(soonEnough()), "rung");
    listener.close(), ring.close();
  });

  test(`${backend}: the event loop hears rings, and the end of all ringers`, async () => {
    const [listen, ring] = doorbells.create();
    const listener = doorbells.listener(listen);
    let heard = Promise.withResolvers<void>();
    listener.listen(() => heard.resolve());
    listener.awaited = true;
    for (let n = 0; n < 3; n++) {
      heard = Promise.withResolvers<void>();
      doorbells.ring(ring);
      await soon(heard.promise);
    }
    heard = Promise.withResolvers<void>();
    ring.close();
    await soon(heard.promise);
    assert(listener.hungUp);
    listener.close();
  });

  test(`${backend}: the last ringer's end is told after its rings, and clones count`, () => {
    const [listen, ring] = doorbells.create();
    const listener = doorbells.listener(listen), clone = ring.clone();
    ring.close();
    assert(!listener.hungUp);
    doorbells.ring(clone);
    clone.close();
    assert(listener.hungUp);
    assertEquals(listener.waitSync(soonEnough()), "rung");
    assertEquals(listener.waitSync(soonEnough()), "hangup");
    listener.close();
  });

  test(`${backend}: without a listener ringing says so`, () => {
    const [listen, ring] = doorbells.create();
    assert(doorbells.hasListener(ring));
    listen.close();
    assert(!doorbells.hasListener(ring));
    assert(!doorbells.ring(ring));
    ring.close();
  });

  test(`${backend}: an end that came is accepted for what it is, and for nothing else`, () => {
    const [listen, ring] = doorbells.create();
    assertIpcErrorSync("Corrupt", () => doorbells.accept(listen.clone(), "ring"));
    assertIpcErrorSync("Corrupt", () => doorbells.accept(ring.clone(), "listen"));
    assertIpcErrorSync("Corrupt", () => doorbells.accept(backendOf(backend).memory.create("test", 4096), "ring"));
    const ownListen = doorbells.accept(listen.clone(), "listen"), ownRing = doorbells.accept(ring.clone(), "ring");
    listen.close(), ring.close();
    const listener = doorbells.listener(ownListen);
    assert(doorbells.ring(ownRing));
    assertEquals(listener.waitSync(soonEnough()), "rung");
    listener.close(), ownRing.close();
  });

  lookingTest(`${backend}: a doorbell with a name is rung by it while somebody listens`, () => {
    const folder = Deno.makeTempDirSync({ dir: "/dev/shm", prefix: "isthmus-contract-" });
    const path = `${folder}/bell`;
    assertEquals(doorbells.ringByName(path), undefined);
    const listener = doorbells.listener(doorbells.createNamed(path, 0o600, Trusted.user)!);
    const ring = doorbells.ringByName(path)!;
    assertEquals(listener.waitSync(soonEnough()), "rung");
    assert(doorbells.ring(ring));
    assertEquals(listener.waitSync(soonEnough()), "rung");
    listener.close();
    assert(!doorbells.ring(ring));
    assertEquals(doorbells.ringByName(path), undefined);
    ring.close();
    Deno.writeTextFileSync(`${folder}/other`, "not a bell");
    assertEquals(doorbells.ringByName(`${folder}/other`), undefined);
    assertEquals(Deno.readTextFileSync(`${folder}/other`), "not a bell");
    Deno.removeSync(folder, { recursive: true });
  });

  processTest(`${backend}: another process rings, and its end by SIGKILL is heard`, async ({ start }) => {
    const [listen, ring] = doorbells.create();
    const listener = doorbells.listener(listen);
    const child = await start(import.meta.url, ringThere, { backend, end: ring });
    assertEquals(await child.said(), true);
    ring.close();
    assertEquals(listener.waitSync(soonEnough()), "rung");
    await child.kill();
    assertEquals(listener.waitSync(soonEnough()), "hangup");
    listener.close();
  });

  processTest(`${backend}: a listener's end by SIGKILL is seen by who rings`, async ({ start }) => {
    const [listen, ring] = doorbells.create();
    const child = await start(import.meta.url, holdEnd, { end: listen });
    await child.said();
    listen.close();
    assert(doorbells.hasListener(ring));
    await child.kill();
    assert(!doorbells.hasListener(ring) && !doorbells.ring(ring));
    ring.close();
  });
}
