// Clients that would shut a server for everybody.
import { assert, assertEquals } from "@std/assert";
import { IpcServer, sendFdsSync, UnixSocket } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { soon } from "../support/assert_ipc.ts";
import { descriptorsOf } from "../support/leftovers.ts";
import { patience } from "../support/patience.ts";
import { processTest } from "../support/test.ts";

/** Keeps so many connections on which it says nothing. */
export function staySilent({ name, count }: { name: string; count: number }, self: Self): void {
  const connections: UnixSocket[] = [];
  while (connections.length < count) {
    try {
      connections.push(UnixSocket.connect(name));
    } catch {
      // The queue is full for a moment.
    }
  }
  self.say();
  self.hear();
  for (const connection of connections) connection.close();
}

/** Sends greetings with as many descriptors as a packet takes. */
export function overload({ name, count }: { name: string; count: number }, self: Self): void {
  for (let n = 0; n < count; n++) {
    using connection = UnixSocket.connect(name);
    const greeting = new Int32Array([0x48545349, 0x4f4c4548, 2, 2]);
    sendFdsSync(connection, new Uint8Array(greeting.buffer), new Array(253).fill(0));
  }
  self.say();
}

for (
  const [what, attack, count] of [["1,000 silent connections", staySilent, 1000], [
    "greetings with 253 descriptors",
    overload,
    50,
  ]] as const
) {
  processTest(`A loop over clients goes on beside ${what}, and honest clients are served`, async ({ start }) => {
    using server = new IpcServer<number, number>({ path: `@isthmus-test-${crypto.randomUUID()}` });
    const runs: Promise<void>[] = [];
    const serving = (async () => {
      for await (const client of server) runs.push(client.run((n) => -n).finally(() => client.close()));
      return "closed";
    })();
    const before = descriptorsOf("self").length;
    const hostile = await start(import.meta.url, attack, { name: server.name, count });
    let most = 0;
    const asking = (async () => {
      for (let n = 1; n <= 100; n++) {
        using client = IpcServer.connect<number, number>(server.name, { capacity: 65_536 });
        await client.send(n);
        assertEquals(await client.recv({ timeout: patience(30_000) }), -n);
        most = Math.max(most, descriptorsOf("self").length);
      }
    })();
    await soon(hostile.said(), "The hostile client");
    await asking;
    assert(most < before + 600, `${most} descriptors, ${before} before`);
    await hostile.kill();
    server.close();
    assertEquals(await soon(serving), "closed");
    await soon(Promise.all(runs));
  });
}

processTest("accept() is not rejected for a greeting with 253 descriptors, however few are left", async ({ start }) => {
  using server = new IpcServer<number, number>({ path: `@isthmus-test-${crypto.randomUUID()}` });
  const pending = server.accept({ timeout: patience(30_000) });
  const hostile = await start(import.meta.url, overload, { name: server.name, count: 20 });
  await soon(hostile.said(), "The hostile client");
  using client = IpcServer.connect<number, number>(server.name);
  client.sendSync(1);
  using served = await soon(pending);
  assertEquals(served.recvSync({ timeout: patience(10_000) }), 1);
});
