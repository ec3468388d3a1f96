// How routes of a router end, and what their errors are.
import { assertEquals } from "@std/assert";
import { channel, type IpcError, type IpcRoute, IpcRouter } from "../../mod.ts";
import { assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { openChannel } from "../support/open_channel.ts";
import { processTest, test } from "../support/test.ts";

const turn = () => new Promise((resolve) => setTimeout(resolve, 1));

test("A route says when it has ended, can be closed alone, and gets its own errors", async () => {
  const general: [unknown, IpcRoute | undefined][] = [], own: unknown[] = [];
  using router = new IpcRouter({ onError: (error, route) => general.push([error, route]) });
  const [first, firstReceiver] = channel<number>(), [second, secondReceiver] = channel<number>();
  const damaged = openChannel<number>();
  const fails = (n: number) => {
    throw new Error(`failed ${n}`);
  };
  const a = router.route(firstReceiver, fails, { onError: (error) => own.push(error) });
  const b = router.route(secondReceiver, fails);
  const c = router.route(damaged.receiver, () => {});
  damaged.memory.words[16] = 0x33557799; // TAIL
  await soon(c.ended);
  first.sendSync(1), second.sendSync(2);
  first.close();
  await soon(a.ended);
  while (general.length < 2) await turn(); // the message of the second comes in its own time
  b.close();
  b.close();
  await soon(b.ended);
  assertEquals(router.size, 0);
  assertEquals(own.map(String), ["Error: failed 1"]);
  assertEquals(general.map(([error, route]): unknown[] => [(error as IpcError).code ?? String(error), route]), [
    ["Corrupt", c],
    ["Error: failed 2", b],
  ]);
  assertIpcErrorSync("Disconnected", () => second.sendSync(3));
  const [third, thirdReceiver] = channel<number>();
  const once = router.routeOnce(thirdReceiver.toOpaque(), (n: number) => own.push(n));
  third.sendSync(5);
  await soon(once.ended);
  assertEquals(own.at(-1), 5);
  second.close(), third.close(), damaged.close();
});

test("An onError that throws, or rejects, does not stop the router", async () => {
  const { error } = console;
  const complaints: unknown[] = [];
  console.error = (...args: unknown[]) => complaints.push(args.at(-1));
  try {
    let calls = 0;
    using router = new IpcRouter({
      onError: () => {
        if (calls++ === 0) throw new Error("thrown");
        return Promise.reject(new Error("rejected")) as unknown as void;
      },
    });
    const [sender, receiver] = channel<number>();
    const done = Promise.withResolvers<void>();
    router.route(receiver, (n) => {
      if (n === 2) return done.resolve();
      throw new Error(`handler ${n}`);
    });
    for (const n of [0, 1, 2]) sender.sendSync(n);
    await soon(done.promise);
    await turn();
    assertEquals(complaints.map(String), ["Error: thrown", "Error: rejected"]);
    sender.close();
  } finally {
    console.error = error;
  }
});

processTest("A handler is garbage as soon as its route has ended", async ({ spawn }) => {
  const child = spawn([
    "eval",
    "--v8-flags=--expose-gc",
    `import { channel, IpcRouter } from ${JSON.stringify(new URL("../../mod.ts", import.meta.url).href)};
    const router = new IpcRouter();
    const [keep, keeps] = channel();
    router.route(keeps, () => {});
    function add(way) {
      const [sender, receiver] = channel();
      const big = { handler: (value) => value };
      const { handler } = big;
      const route = way === "once" ? router.routeOnce(receiver, handler) : router.route(receiver, handler);
      sender.sendSync(1);
      if (way === "senders gone") sender.close();
      return { weak: new WeakRef(handler), route, sender };
    }
    const routes = ["once", "senders gone", "close"].map(add);
    await new Promise((resolve) => setTimeout(resolve, 20));
    routes[2].route.close();
    await Promise.all(routes.map(({ route }) => route.ended));
    for (let n = 0; n < 5; n++) { await new Promise((resolve) => setTimeout(resolve, 5)); gc(); }
    console.log(JSON.stringify(routes.map(({ weak }) => weak.deref() === undefined)));
    Deno.exit();`,
  ]);
  assertEquals(JSON.parse(await child.text()), [true, true, true]);
});
