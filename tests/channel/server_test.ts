import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import {
  type IpcDuplex,
  IpcOneShotServer,
  IpcSender,
  IpcServer,
  type PeerCredentials,
  sendFdsSync,
  UnixSocket,
} from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { descriptorsOf } from "../support/leftovers.ts";
import { leastOf, patience } from "../support/patience.ts";
import { processTest, test } from "../support/test.ts";

type Server = IpcServer<number, number>;

/** Less than a single silent client is waited for, which is two seconds, in milliseconds. */
const PROMPT = 1500;

/** The ways to accept, by their names. */
const ACCEPT: Record<string, (server: Server, timeout?: number) => Promise<IpcDuplex<number, number>>> = {
  "accept()": (server, timeout = patience(10_000)) => server.accept({ timeout }),
  // deno-lint-ignore require-await -- a promise as the other way returns one
  "acceptSync()": async (server, timeout = patience(10_000)) => server.acceptSync({ timeout }),
};

for (const [name, accept] of Object.entries(ACCEPT)) {
  test(`${name} serves clients that connected before it, each with a duplex of its own`, async () => {
    using server: Server = new IpcServer();
    const clients = Array.from({ length: 20 }, () => IpcServer.connect<number, number>(server.name));
    clients.forEach((client, n) => client.sendSync(n));
    const served: IpcDuplex<number, number>[] = [];
    for (const _ of clients) served.push(await accept(server));
    for (const end of served) end.sendSync(2 * await end.recv({ timeout: patience(10_000) }));
    for (const [n, client] of clients.entries()) assertEquals(await client.recv({ timeout: patience(10_000) }), 2 * n);
    for (const end of [...clients, ...served]) end.close();
  });

  test(`${name} without a client is Timeout, and the next client is served`, async () => {
    using server: Server = new IpcServer();
    await assertIpcError("Timeout", () => accept(server, 0));
    await assertIpcError("Timeout", () => accept(server, 5));
    using client = IpcServer.connect<number, number>(server.name);
    using served = await accept(server);
    client.sendSync(1);
    assertEquals(served.recvSync({ timeout: 0 }), 1);
  });

  test(`${name} is not held up by clients that stay silent, talk nonsense or vanish during the handshake`, async () => {
    // Not the name that it would get by itself, by which a client of the other kind of server would know better.
    using server: Server = new IpcServer({ path: `@isthmus-test-${crypto.randomUUID()}` });
    const took = await leastOf(PROMPT, async () => {
      const silent = [UnixSocket.connect(server.name), UnixSocket.connect(server.name)];
      UnixSocket.connect(server.name).close();
      const rude = UnixSocket.connect(server.name);
      sendFdsSync(rude, new Uint8Array(100).fill(0xff), []);
      const oneShot = IpcSender.connect<number>(server.name); // a client of the other kind of server
      using client = IpcServer.connect<number, number>(server.name);
      client.sendSync(5);
      const begin = performance.now();
      using served = await accept(server);
      assertEquals(served.recvSync({ timeout: patience(10_000) }), 5);
      const took = performance.now() - begin;
      await assertIpcError("Timeout", () => accept(server, 1));
      for (const end of [...silent, rude, oneShot]) end.close();
      return took;
    });
    assert(took < PROMPT, `held up for ${took} ms`);
  });
}

test("A client that is awaited is served when it comes, and several accepts in their order", async () => {
  using server: Server = new IpcServer();
  const accepts = [server.accept(), server.accept(), server.accept()];
  await new Promise((resolve) => setTimeout(resolve, 0));
  const clients = [10, 11, 12].map((n) => {
    const client = IpcServer.connect<number, number>(server.name);
    client.sendSync(n);
    return client;
  });
  const served = await soon(Promise.all(accepts));
  const got = await soon(Promise.all(served.map((end) => end.recv())));
  assertEquals(got.sort(), [10, 11, 12]);
  for (const end of [...clients, ...served]) end.close();
});

test("A client that is silent does not hold up those that come after it while accept() waits", async () => {
  using server: Server = new IpcServer();
  const took = await leastOf(PROMPT, async () => {
    const pending = server.accept();
    await new Promise((resolve) => setTimeout(resolve, 0));
    const begin = performance.now();
    const silent = [UnixSocket.connect(server.name), UnixSocket.connect(server.name)];
    await new Promise((resolve) => setTimeout(resolve, 5)); // both are accepted, and asked who they are
    using client = IpcServer.connect<number, number>(server.name);
    client.sendSync(5);
    using served = await soon(pending);
    assertEquals(await soon(served.recv()), 5);
    for (const end of silent) end.close();
    return performance.now() - begin;
  });
  assert(took < PROMPT, `held up for ${took} ms`);
});

test("accept() rejects with the signal's reason, before and during the wait, and no client is lost", async () => {
  using server: Server = new IpcServer();
  const reason = new Error("enough");
  const caught = (signal: AbortSignal) => server.accept({ signal }).catch((error) => error);
  assert(await caught(AbortSignal.abort(reason)) === reason);
  const abort = new AbortController();
  const pending = caught(abort.signal);
  await new Promise((resolve) => setTimeout(resolve, 0));
  abort.abort(reason);
  assert(await soon(pending) === reason);
  using client = IpcServer.connect<number, number>(server.name);
  client.sendSync(1);
  using served = await soon(server.accept());
  assertEquals(await soon(served.recv()), 1);
});

test("Iteration serves every client until the server is closed, and close() ends a pending accept() with Closed", async () => {
  const server: Server = new IpcServer();
  const clients = [0, 1, 2].map(() => IpcServer.connect<number, number>(server.name));
  const runs: Promise<void>[] = [];
  const serving = (async () => {
    for await (const end of server) runs.push(end.run((n) => -n).finally(() => end.close()));
  })();
  for (const [n, client] of clients.entries()) {
    client.sendSync(n + 1);
    assertEquals(await soon(client.recv()), -n - 1);
  }
  server.close();
  server.close();
  await soon(serving);
  clients[0]!.sendSync(7);
  assertEquals(await soon(clients[0]!.recv()), -7, "who was accepted is still served");
  for (const client of clients) client.close();
  await soon(Promise.all(runs));

  const other: Server = new IpcServer();
  const pending = assertIpcError("Closed", () => other.accept());
  other.close();
  await soon(pending);
  await assertIpcError("Closed", () => other.accept());
  assertIpcErrorSync("Closed", () => other.acceptSync());
  const error = assertIpcErrorSync("NotFound", () => IpcServer.connect(other.name));
  assertStringIncludes(error.message, other.name);
});

test("A client whose connection is still queued when the server closes is Disconnected", async () => {
  const server: Server = new IpcServer();
  using client = IpcServer.connect<number, number>(server.name);
  const pending = assertIpcError("Disconnected", () => client.recv());
  server.close();
  await soon(pending);
});

processTest("allow decides by the peer's credentials; who is refused is Disconnected, the next is served", async () => {
  const seen: PeerCredentials[] = [];
  let welcome = false;
  using server = new IpcServer<number, number>({ allow: (peer) => (seen.push(peer), welcome) });
  using refused = IpcServer.connect<number, number>(server.name);
  await assertIpcError("Timeout", () => server.accept({ timeout: 50 }));
  await assertIpcError("Disconnected", () => refused.recv({ timeout: patience(10_000) }));
  using refusedToo = IpcServer.connect<number, number>(server.name);
  assertIpcErrorSync("Timeout", () => server.acceptSync({ timeout: 5 }));
  await assertIpcError("Disconnected", () => refusedToo.recv({ timeout: patience(10_000) }));
  welcome = true;
  using _client = IpcServer.connect<number, number>(server.name);
  using served = await soon(server.accept());
  const expected = { pid: Deno.pid, uid: Deno.uid()!, gid: Deno.gid()! };
  assertEquals(served.peer, expected);
  assertEquals(seen, [expected, expected, expected]);
});

test("What allow throws rejects the accept(), and the next client is served", async () => {
  let angry = true;
  using server = new IpcServer<number, number>({
    allow: () => {
      if (angry) throw new Error("who are you");
      return true;
    },
  });
  const pending = server.accept().catch((error) => error.message);
  using _first = IpcServer.connect<number, number>(server.name);
  assertEquals(await soon(pending), "who are you");
  angry = false;
  using client = IpcServer.connect<number, number>(server.name);
  client.sendSync(3);
  using served = await soon(server.accept());
  assertEquals(await soon(served.recv()), 3);
});

// --- The path form ---------------------------------------------------------------------------------------------------

function withFolder(use: (folder: string) => Promise<void>): () => Promise<void> {
  return async () => {
    const folder = Deno.makeTempDirSync();
    try {
      await use(folder);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  };
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Both kinds of server. */
const KINDS: { name: string; listen: (path: string) => { name: string; close(): void } }[] = [
  { name: "IpcServer", listen: (path) => new IpcServer({ path }) },
  { name: "IpcOneShotServer", listen: (path) => new IpcOneShotServer({ path }) },
];

for (const kind of KINDS) {
  processTest(
    `${kind.name}: a path is a socket file that goes with the server; a living server's path is refused`,
    withFolder((folder) => {
      const path = `${folder}/server`;
      const server = kind.listen(path);
      assertEquals(server.name, path);
      assert(Deno.lstatSync(path).isSocket);
      const error = assertIpcErrorSync("AlreadyExists", () => kind.listen(path));
      assertStringIncludes(error.message, path);
      server.close();
      assertEquals(exists(path), false);
      const absent = assertIpcErrorSync("NotFound", () => IpcServer.connect(path));
      assertStringIncludes(absent.message, path);
      kind.listen(path).close();
      return Promise.resolve();
    }),
  );

  processTest(
    `${kind.name}: a file that is no socket is not replaced`,
    withFolder((folder) => {
      const path = `${folder}/precious`;
      Deno.writeTextFileSync(path, "data");
      assertIpcErrorSync("AlreadyExists", () => kind.listen(path));
      assertEquals(Deno.readTextFileSync(path), "data");
      return Promise.resolve();
    }),
  );
}

/** Listens at a path until it is killed. */
export function listenAndStay({ path }: { path: string }, self: Self): void {
  const server = new IpcServer({ path });
  self.say();
  self.hear();
  server.close();
}

processTest("A stale socket file of a killed server is replaced, a living server's is not", async ({ start }) => {
  await withFolder(async (folder) => {
    const path = `${folder}/server`;
    const child = await start(import.meta.url, listenAndStay, { path });
    await child.said();
    assertIpcErrorSync("AlreadyExists", () => new IpcServer({ path }));
    await child.kill();
    assert(exists(path), "the file is still there");
    assertIpcErrorSync("NotFound", () => IpcServer.connect(path));
    using server: Server = new IpcServer({ path });
    using client = IpcServer.connect<number, number>(path);
    client.sendSync(1);
    using served = await soon(server.accept());
    assertEquals(await soon(served.recv()), 1);
  })();
});

// --- Between processes -----------------------------------------------------------------------------------------------

/** Connects `count` times, one after another, and has a short conversation each time. */
export async function comeAndGo({ name, count }: { name: string; count: number }): Promise<void> {
  for (let n = 0; n < count; n++) {
    using client = IpcServer.connect<number, number>(name, { capacity: 65_536 });
    await client.send(n);
    assertEquals(await client.recv({ timeout: patience(30_000) }), -n);
  }
}

processTest("200 clients of two processes come and go, and leave nothing behind", async ({ start }) => {
  using server: Server = new IpcServer();
  const runs: Promise<void>[] = [];
  let before = 0;
  const serving = (async () => {
    for await (const end of server) {
      if (runs.push(end.run((n) => -n).finally(() => end.close())) === 200) break;
    }
  })();
  before = descriptorsOf("self").length;
  const children = await Promise.all(
    [0, 1].map(() => start(import.meta.url, comeAndGo, { name: server.name, count: 100 })),
  );
  for (const child of children) assertEquals((await child.status).code, 0);
  await soon(serving);
  await soon(Promise.all(runs));
  for (let turn = 0; turn < 100 && descriptorsOf("self").length > before + 12; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  // Some for the pipes of the two children.
  const now = descriptorsOf("self").length;
  assert(now <= before + 12, `${now} descriptors, ${before} before`);
});

/** Connects and talks as it is told to. */
export async function talk({ name }: { name: string }, self: Self): Promise<void> {
  using client = IpcServer.connect<number, number>(name);
  for (let n = self.hear<number>(); n !== 0; n = self.hear<number>()) {
    client.sendSync(n);
    self.say(await client.recv({ timeout: patience(30_000) }));
  }
}

processTest(
  "Three processes are served at once, know their server, and a killed one is Disconnected alone",
  async ({ start }) => {
    using server: Server = new IpcServer();
    const children = await Promise.all([0, 1, 2].map(() => start(import.meta.url, talk, { name: server.name })));
    for (const child of children) await child.tell(child.pid);
    const served = new Map<number, IpcDuplex<number, number>>();
    for (const _ of children) {
      const end = await soon(server.accept());
      const pid = await soon(end.recv());
      assertEquals(end.peer?.pid, pid, "the kernel vouches for the process");
      end.sendSync(-pid);
      served.set(pid, end);
    }
    for (const child of children) assertEquals(await child.said(), -child.pid);
    const [first, ...others] = children;
    const ended = assertIpcError("Disconnected", () => served.get(first!.pid)!.recv());
    await first!.kill();
    await soon(ended);
    for (const child of others) {
      await child.tell(5);
      const end = served.get(child.pid)!;
      end.sendSync(await soon(end.recv()) + 1);
      assertEquals(await child.said(), 6);
      await child.tell(0);
      assertEquals((await child.status).code, 0);
    }
    for (const end of served.values()) end.close();
  },
);

/** Connects, sends, and dies without a word. */
export function connectAndDie({ name }: { name: string }): void {
  const client = IpcServer.connect<number, number>(name);
  client.sendSync(9);
  Deno.kill(Deno.pid, "SIGKILL");
}

processTest("A client that dies before it is accepted is served what it sent, then Disconnected", async ({ start }) => {
  using server: Server = new IpcServer();
  const child = await start(import.meta.url, connectAndDie, { name: server.name });
  await child.status;
  using served = await soon(server.accept());
  assertEquals(await soon(served.recv()), 9);
  await assertIpcError("Disconnected", () => served.recv());
  assertIpcErrorSync("Disconnected", () => served.sendSync(1));
});

test('"#" in a name of the user\'s own is a letter like any other', async () => {
  for (const name of ["@chat#main", "@chat#2", "@chat#", "@#", "@a#b#65536", "@isthmus-server-#7"]) {
    using server: Server = new IpcServer({ path: `${name}${crypto.randomUUID()}`, capacity: 65_536 });
    assert(server.name.startsWith(name));
    using client = IpcServer.connect<number, number>(server.name);
    client.sendSync(1);
    using served = await soon(server.accept());
    assertEquals(await soon(served.recv()), 1);
  }
  using server: Server = new IpcServer({ path: `@chat-${crypto.randomUUID()}#2` });
  using client = IpcServer.connect<number, number>(server.name);
  let sent = 0;
  while (sent < 2000 && client.trySend(0)) sent++;
  assertEquals(sent, 2000); // more than the least capacity holds
});

test('An "allow" that answers by anything but true or false admits nobody, and the accept says so', async () => {
  // deno-lint-ignore no-explicit-any
  const answers: any[] = [async () => await false, () => Promise.resolve(true), () => 1, () => undefined, () => "yes"];
  for (const allow of answers) {
    using server: Server = new IpcServer({ allow });
    using client = IpcServer.connect<number, number>(server.name);
    client.sendSync(1);
    await assertRejects(() => server.accept(), TypeError, '"allow" returned');
    using second = IpcServer.connect<number, number>(server.name);
    assertThrows(() => server.acceptSync(), TypeError, '"allow" returned');
    const waiting = server.accept();
    await new Promise((resolve) => setTimeout(resolve, 0));
    using third = IpcServer.connect<number, number>(server.name);
    await assertRejects(() => soon(waiting), TypeError, '"allow" returned');
    for (const end of [client, second, third]) await assertIpcError("Disconnected", () => soon(end.recv()));

    for (
      const accept of [(s: IpcOneShotServer<number>) => s.accept(), (s: IpcOneShotServer<number>) => s.acceptSync()]
    ) {
      using oneShot = new IpcOneShotServer<number>({ allow });
      using sender = IpcSender.connect<number>(oneShot.name);
      sender.sendSync(1);
      await assertRejects(async () => await accept(oneShot), TypeError, '"allow" returned');
    }
  }
});
