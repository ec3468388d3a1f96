import { assert, assertEquals, assertRejects } from "@std/assert";
import { expose, IpcError, IpcServer, remote } from "../../../mod.ts";
import { bridgeTest, type Machines, until } from "./machines.ts";

/** What a worker exposes. */
const apiOf = (name: string) => ({
  name: () => name,
  add: (a: bigint, b: bigint) => a + b,
  fail(text: string): never {
    throw new RangeError(text);
  },
  async *count(to: number) {
    for (let i = 0; i < to; i++) yield await Promise.resolve(i);
  },
  hang: () => new Promise<never>(() => {}),
  echo: (bytes: Uint8Array) => bytes,
});

type Api = ReturnType<typeof apiOf>;

/** A program with methods, at a path. */
function worker(machines: Machines, path: string, name: string): { end(): Promise<void> } {
  const server = new IpcServer<unknown, unknown>({ path });
  const ends: Disposable[] = [];
  const serving = (async () => {
    const calls: Promise<void>[] = [];
    for await (const end of server) {
      ends.push(end);
      calls.push(expose(end, apiOf(name)));
    }
    await Promise.all(calls);
  })();
  const end = async () => {
    server.close();
    for (const end of ends) end[Symbol.dispose]();
    await serving.catch(() => {});
  };
  machines.onEnd(end);
  return { end };
}

bridgeTest("Calls go to whichever machine has a worker: answers, errors, streams, and none left", async (machines) => {
  const server = await machines.server();
  const paths = ["a", "b"].map((name) => `${machines.folder}/worker-${name}`), front = `${machines.folder}/front`;
  const workers = paths.map((path, i) => worker(machines, path, "ab"[i]!));
  const backs = await Promise.all(paths.map((path) => machines.bridge(server, "serve", path, "math")));
  for (const back of backs) await until("a worker is reached", () => back.said.includes("calls of"));
  await machines.bridge(server, "call", "math", front);

  using end = IpcServer.connect<unknown, unknown>(front);
  const api = remote<Api>(end, { timeout: 60_000 });
  assertEquals(await api.add(2n, 3n), 5n);
  await assertRejects(() => api.fail("too far"), RangeError, "too far");
  assertEquals(await Array.fromAsync(api.count(1000)), Array.from({ length: 1000 }, (_, i) => i));
  const names = new Set(await Promise.all(Array.from({ length: 100 }, () => api.name())));
  assertEquals([...names].sort(), ["a", "b"]);
  const large = await assertRejects(async () => await api.echo(new Uint8Array(2_000_000)), IpcError, "NATS takes");
  assertEquals([large.code, large.delivered], ["TooLarge", false]);
  const missing = remote<{ none(): void }>(end);
  assertEquals((await assertRejects(async () => await missing.none(), IpcError)).code, "NotFound");
  const stop = new AbortController();
  const given = api.with({ signal: stop.signal }).hang();
  stop.abort(new Error("enough"));
  await assertRejects(() => given, Error, "enough");

  // One bridge is killed with calls under way: those of the other go on.
  const hanging = Array.from({ length: 20 }, () => api.hang().catch((error) => error));
  await api.name(); // behind them
  await backs[0]!.end("SIGKILL");
  const error = await Promise.race(hanging);
  assert(error instanceof IpcError && error.code === "Disconnected", String(error));
  assertEquals(new Set(await Promise.all(Array.from({ length: 20 }, () => api.name()))), new Set(["b"]));

  // The last worker ends, and the bridge says so by itself.
  await workers[1]!.end();
  for (const error of await Promise.all(hanging)) assertEquals((error as IpcError).code, "Disconnected");
  await until("nobody serves", async () => {
    const nobody = await api.name().catch((error) => error);
    return nobody instanceof IpcError && !nobody.delivered && /no machine takes calls/.test(nobody.message);
  });
  worker(machines, paths[1]!, "again");
  await until("the worker is back", async () => await api.name().catch(() => "") === "again");
});
