// What names must do.
import { assert, assertEquals } from "@std/assert";
import type { Self } from "../../support/actor.ts";
import { assertIpcErrorSync, soon } from "../../support/assert_ipc.ts";
import { lookingTest, processTest, test } from "../../support/test.ts";
import { backendOf } from "./backends.ts";

/** Listens at a name until it is killed. */
export function listenThere({ backend, name }: { backend: string; name: string }, self: Self): void {
  backendOf(backend).names.listen(name);
  self.say();
  self.hear();
}

/** Connects to a name, and stays. */
export function connectThere({ backend, name }: { backend: string; name: string }, self: Self): void {
  const connection = backendOf(backend).names.connect(name);
  self.say(connection.peer.pid);
  self.hear();
}

function folderTest(name: string, body: (folder: string) => void): void {
  lookingTest(name, () => {
    const folder = Deno.makeTempDirSync({ dir: "/dev/shm", prefix: "isthmus-contract-" });
    try {
      body(folder);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  });
}

/** Registers the tests for one back end. */
export function conformance(backend: string): void {
  const { names } = backendOf(backend);

  test(`${backend}: who connects is accepted, and both see who the other is`, async () => {
    const name = names.fresh("test");
    assert(name !== names.fresh("test"));
    const listener = names.listen(name);
    assertEquals(listener.tryAccept(), undefined);
    const client = names.connect(name);
    const served = listener.tryAccept()!;
    assertEquals([client.peer.pid, served.peer.pid], [Deno.pid, Deno.pid]);
    assertEquals(served.peer.uid, backendOf(backend).identities.ownUser());
    const coming = listener.accept();
    const second = names.connect(name);
    const servedToo = await soon(coming);
    for (const connection of [client, served, second, servedToo]) connection.close();
    listener.close();
  });

  test(`${backend}: a name that nobody listens at is NotFound, before and after`, () => {
    const name = names.fresh("test");
    assertIpcErrorSync("NotFound", () => names.connect(name));
    names.listen(name).close();
    assertIpcErrorSync("NotFound", () => names.connect(name));
  });

  test(`${backend}: a name is one listener's`, () => {
    const name = names.fresh("test");
    const listener = names.listen(name);
    assertIpcErrorSync("AlreadyExists", () => names.listen(name));
    listener.close();
    names.listen(name).close();
  });

  processTest(`${backend}: a killed listener's path is taken over, a living one's is not`, async ({ start }) => {
    const folder = Deno.makeTempDirSync({ dir: "/dev/shm", prefix: "isthmus-contract-" });
    const name = `${folder}/name`;
    const child = await start(import.meta.url, listenThere, { backend, name });
    await child.said();
    assertIpcErrorSync("AlreadyExists", () => names.listen(name));
    names.connect(name).close();
    await child.kill();
    assertIpcErrorSync("NotFound", () => names.connect(name));
    const listener = names.listen(name);
    const other = await start(import.meta.url, connectThere, { backend, name });
    assertEquals(await other.said(), Deno.pid);
    const served = listener.tryAccept()!;
    assertEquals(served.peer.pid, other.pid);
    served.close(), listener.close();
    Deno.removeSync(folder, { recursive: true });
  });

  folderTest(`${backend}: what has no name is found by nobody, and gets one all at once, once`, (folder) => {
    const path = `${folder}/thing`;
    using first = names.createUnnamed(folder, "Cannot test");
    using second = names.createUnnamed(folder, "Cannot test");
    assertEquals([...Deno.readDirSync(folder)].length, 0);
    assertEquals(names.publish(first.fd, path, "Cannot test"), true);
    assertEquals(names.publish(second.fd, path, "Cannot test"), false);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["thing"]);
    assertEquals([names.remove(path), names.remove(path)], [0, 0]);
    assertEquals([...Deno.readDirSync(folder)].length, 0);
  });

  folderTest(`${backend}: a place that is not there is NotFound`, (folder) => {
    assertIpcErrorSync("NotFound", () => names.createUnnamed(`${folder}/none`, "Cannot test"));
  });
}
