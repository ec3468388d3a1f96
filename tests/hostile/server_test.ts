// Clients that would shut a server for everybody.
import { assert, assertEquals } from "@std/assert";
import { type IpcDuplex, type IpcError, IpcServer, sendFdsSync, UnixSocket } from "../../mod.ts";
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

/** Connects as soon as there is a place in the queue. */
async function connect(name: string): Promise<IpcDuplex<number, number>> {
  for (;;) {
    try {
      return IpcServer.connect<number, number>(name, { capacity: 65_536 });
    } catch (error) {
      if ((error as IpcError).code !== "AlreadyExists") throw error;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
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
        using client = await connect(server.name);
        await client.send(n);
        assertEquals(await client.recv({ timeout: patience(30_000) }), -n);
        most = Math.max(most, descriptorsOf("self").length);
      }
    })();
    await soon(hostile.said(), "The hostile client");
    await asking;
    assert(most < before + 900, `${most} descriptors, ${before} before`);
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

/** Connects as often as it can, and holds what it has got. */
export async function takeAll({ name }: { name: string }, self: Self): Promise<void> {
  const clients = [];
  for (let served = 1; served === 1;) {
    const client = IpcServer.connect<number, number>(name, { capacity: 65_536 });
    clients.push(client);
    client.sendSync(-1);
    served = await client.recv({ timeout: 1000 }).catch(() => 0);
  }
  self.say(clients.length - 1);
  self.hear();
  for (const client of clients) client.close();
}

processTest("A process that holds all the clients it can get leaves room for those of others", async ({ start }) => {
  const main = new URL("../support/few_descriptors_server.ts", import.meta.url).pathname;
  const process = new Deno.Command("sh", {
    args: ["-c", 'ulimit -n 256; exec "$0" run --quiet -A "$1"', Deno.execPath(), main],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const lines = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const name = (await lines.read()).value!.trim();
  const hostile = await start(import.meta.url, takeAll, { name });
  const held = await hostile.said<number>();
  assert(held >= 8, `${held} clients`);
  for (let n = 1; n <= 20; n++) {
    using client = IpcServer.connect<number, number>(name, { capacity: 65_536 });
    client.sendSync(n);
    assertEquals(await client.recv({ timeout: patience(20_000) }), -n);
  }
  await hostile.kill();
  await process.stdin.close();
  assert((await lines.read()).value!.includes("total"));
  await lines.cancel();
  assertEquals((await process.status).code, 0);
});
