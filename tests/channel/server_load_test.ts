// Servers with many clients that come and go, and with hardly a descriptor.
import { assert, assertEquals } from "@std/assert";
import { IpcServer, UnixSocket } from "../../mod.ts";
import { soon } from "../support/assert_ipc.ts";
import { patience } from "../support/patience.ts";
import { processTest, test } from "../support/test.ts";

const MAIN = new URL("../support/few_descriptors_server.ts", import.meta.url).pathname;

/** A server in a process that may have so many descriptors. */
async function startServer(descriptors: number) {
  const process = new Deno.Command("sh", {
    args: ["-c", `ulimit -n ${descriptors}; exec "$0" run --quiet -A "$1"`, Deno.execPath(), MAIN],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const lines = process.stdout.pipeThrough(new TextDecoderStream());
  const reader = lines.getReader();
  const { value } = await reader.read();
  return {
    name: value!.trim(),
    /** Ends it, and returns what it has seen. */
    async end(): Promise<{ most: number; total: number }> {
      await process.stdin.close();
      let text = "";
      for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
      assertEquals((await process.status).code, 0);
      return JSON.parse(text);
    },
  };
}

/** Connects, asks, is answered, and closes, so many times. */
export async function visit({ name, loops, times }: { name: string; loops: number; times: number }): Promise<void> {
  await Promise.all(Array.from({ length: loops }, async () => {
    for (let n = 1; n <= times; n++) {
      using client = IpcServer.connect<number, number>(name, { capacity: 65_536 });
      await client.send(n);
      assertEquals(await client.recv({ timeout: patience(50_000) }), -n);
    }
  }));
}

processTest("A server has hardly more clients open than are really there, while they come and go", async () => {
  const server = await startServer(256);
  await visit({ name: server.name, loops: 10, times: 30 });
  const { most, total } = await server.end();
  assertEquals(total, 300);
  assert(most < 30, `${most} clients were open at a time, of 10`);
});

processTest("A server without a descriptor left lets clients wait, and lives", async ({ start }) => {
  const server = await startServer(200);
  const visitors = await Promise.all(
    [1, 2].map(() => start(import.meta.url, visit, { name: server.name, loops: 40, times: 4 })),
  );
  for (const visitor of visitors) assertEquals((await visitor.status).code, 0);
  const { most, total } = await server.end();
  assertEquals(total, 320);
  assert(most < 40, `${most} clients were open at a time, with 200 descriptors`);
});

test("tryAccept() takes the client that has come, and does not wait for one", async () => {
  using server = new IpcServer<number, number>();
  assertEquals(server.tryAccept(), undefined);
  using client = IpcServer.connect<number, number>(server.name);
  using silent = UnixSocket.connect(server.name);
  using served = server.tryAccept();
  client.sendSync(5);
  assertEquals(served?.recvSync({ timeout: 0 }), 5);
  assertEquals(server.tryAccept(), undefined);
  silent.close();
  await Promise.resolve();
});

test("A loop over clients ends quietly by close(), by its signal, and by return() without taking a client", async () => {
  using server = new IpcServer<number, number>();
  const stop = new AbortController();
  const loop = (async () => {
    for await (const _ of server.values({ signal: stop.signal }));
    return "ended";
  })();
  await new Promise((resolve) => setTimeout(resolve, 1));
  stop.abort();
  assertEquals(await soon(loop), "ended");

  const values = server.values();
  const next = values.next();
  assertEquals(await values.return!(), { done: true, value: undefined });
  assertEquals(await soon(next), { done: true, value: undefined });
  using client = IpcServer.connect<number, number>(server.name);
  client.sendSync(5);
  using served = await soon(server.accept());
  assertEquals(served.recvSync({ timeout: 0 }), 5, "no client was lost");

  const other = server.values();
  const pending = other.next();
  server.close();
  assertEquals(await soon(pending), { done: true, value: undefined });
});
