import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { channel, IpcOneShotServer, IpcReceiver, IpcSender, sendFdsSync, UnixSocket } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { patience } from "../support/patience.ts";
import { processTest, test } from "../support/test.ts";

test("A client that connects before the server accepts is served, by accept() and by acceptSync()", async () => {
  for (const blocking of [false, true]) {
    const server = new IpcOneShotServer<string>();
    const sender = IpcSender.connect<string>(server.name);
    sender.sendSync("first");
    sender.sendSync("second");
    const [receiver, first] = blocking ? server.acceptSync({ timeout: patience(10_000) }) : await server.accept();
    assertEquals(first, "first");
    assertEquals(await receiver.recv(), "second");
    sender.close(), receiver.close(), server.close();
  }
});

test("A server that accepts before its client connects is served", async () => {
  const server = new IpcOneShotServer<string>();
  const accepted = server.accept();
  await new Promise((resolve) => setTimeout(resolve, 20));
  const sender = IpcSender.connect<string>(server.name);
  await new Promise((resolve) => setTimeout(resolve, 20));
  await sender.send("late");
  const [receiver, first] = await soon(accepted);
  assertEquals(first, "late");
  sender.close(), receiver.close(), server.close();
});

test("Several servers at once each get their own client, in whatever order they accept and are connected to", async () => {
  const servers = Array.from({ length: 10 }, () => new IpcOneShotServer<number>());
  assertEquals(new Set(servers.map(({ name }) => name)).size, servers.length);
  const accepts = servers.map((server, n) => n % 2 === 0 ? server.accept() : undefined);
  const senders = servers.map(({ name }) => name).reverse().map((name) => IpcSender.connect<number>(name)).reverse();
  senders.forEach((sender, n) => sender.sendSync(n));
  for (const [n, server] of servers.entries()) {
    const [receiver, first] = await soon(accepts[n] ?? server.accept());
    assertEquals(first, n);
    receiver.close(), senders[n]!.close();
  }
});

test("A second client is refused at once, and the first is still served", async () => {
  const server = new IpcOneShotServer<string>();
  const sender = IpcSender.connect<string>(server.name);
  await assertIpcError("AlreadyExists", () => IpcSender.connect(server.name));
  sender.sendSync("first");
  const [receiver] = await soon(server.accept());
  assertIpcErrorSync("NotFound", () => IpcSender.connect(server.name));
  assertEquals(server.name.length > 0, true);
  sender.close(), receiver.close(), server.close();
});

test("A second client that comes while the server awaits the first is refused or disconnected, never ignored", async () => {
  for (let round = 0; round < 20; round++) {
    const server = new IpcOneShotServer<number>();
    const accepted = server.accept();
    await new Promise((resolve) => setTimeout(resolve, 0));
    const first = IpcSender.connect<number>(server.name);
    let second: IpcSender<number> | undefined;
    try {
      second = IpcSender.connect<number>(server.name);
    } catch (error) {
      assert(["AlreadyExists", "NotFound"].includes((error as { code: string }).code), String(error));
    }
    first.sendSync(1);
    const [receiver, value] = await soon(accepted);
    assertEquals(value, 1);
    if (second !== undefined) {
      await assertIpcError("Disconnected", async () => {
        for (;;) {
          second.sendSync(2);
          await new Promise((resolve) => setTimeout(resolve, 0));
        }
      });
      second.close();
    }
    first.close(), receiver.close(), server.close();
  }
});

test("accept() obeys its timeout and its signal, and the server can accept again after it", async () => {
  const server = new IpcOneShotServer<string>();
  await assertIpcError("Timeout", () => server.accept({ timeout: 20 }));
  await assertIpcError("Timeout", () => server.accept({ timeout: 0 }));
  assertIpcErrorSync("Timeout", () => server.acceptSync({ timeout: 20 }));
  assertIpcErrorSync("Timeout", () => server.acceptSync({ timeout: 0 }));
  const reason = new Error("enough");
  assertEquals(await assertRejects(() => server.accept({ signal: AbortSignal.abort(reason) })), reason);
  const abort = new AbortController();
  const accepted = server.accept({ signal: abort.signal });
  setTimeout(() => abort.abort(reason), 10);
  assertEquals(await assertRejects(() => accepted), reason);
  assertThrows(() => server.acceptSync({ timeout: -1 }), TypeError);

  const sender = IpcSender.connect<string>(server.name);
  sender.sendSync("after all");
  const [receiver, first] = await soon(server.accept());
  assertEquals(first, "after all");
  sender.close(), receiver.close(), server.close();
});

test("The timeout counts for the client's first message as well", async () => {
  const server = new IpcOneShotServer<string>();
  const sender = IpcSender.connect<string>(server.name);
  await assertIpcError("Timeout", () => server.accept({ timeout: 50 }));
  sender.sendSync("late");
  const [receiver, first] = await server.accept({ timeout: patience(10_000) });
  assertEquals(first, "late", "the client is the next accept's");
  sender.close(), receiver.close();
});

test("close() ends a pending accept() with Closed, and further accepts are Closed", async () => {
  const server = new IpcOneShotServer<string>();
  const accepted = assertIpcError("Closed", () => server.accept());
  await assertIpcError("Deadlock", () => server.accept());
  server.close();
  server.close();
  await soon(accepted);
  await assertIpcError("Closed", () => server.accept());
  assertIpcErrorSync("Closed", () => server.acceptSync());
  assertIpcErrorSync("NotFound", () => IpcSender.connect(server.name));
});

test("A client that is not allowed is dropped, and waiting goes on", async () => {
  const seen: number[] = [];
  const server = new IpcOneShotServer<string>({
    allow: ({ pid }) => {
      seen.push(pid);
      return seen.length > 1;
    },
  });
  const refused = IpcSender.connect<string>(server.name);
  refused.sendSync("not for you");
  const accepted = server.accept();
  await assertIpcError("Disconnected", async () => {
    for (;;) {
      refused.sendSync("still not");
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  });
  const sender = IpcSender.connect<string>(server.name);
  sender.sendSync("welcome");
  const [receiver, first] = await soon(accepted);
  assertEquals(first, "welcome");
  assertEquals(seen, [Deno.pid, Deno.pid]);
  refused.close(), sender.close(), receiver.close(), server.close();
});

test("Nobody listens at a wrong name: NotFound, and a name that is none is a TypeError", () => {
  assertIpcErrorSync("NotFound", () => IpcSender.connect("@isthmus-nobody"));
  assertIpcErrorSync("NotFound", () => IpcSender.connect("/nonexistent/isthmus.sock"));
  for (const name of ["", "@", "a\0b", "x".repeat(200)]) assertThrows(() => IpcSender.connect(name), TypeError);
});

// --- Clients that are none -------------------------------------------------------------------------------------------

const HELLO = [0x48545349, 0x4f4c4548];
const words = (...all: number[]) => new Uint8Array(new Int32Array(all).buffer);

const GARBAGE: readonly { what: string; data: Uint8Array; fds: number; code: "Corrupt" | "Incompatible" }[] = [
  { what: "a line of HTTP", data: new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"), fds: 0, code: "Corrupt" },
  { what: "one byte", data: new Uint8Array(1), fds: 0, code: "Corrupt" },
  { what: "half a greeting", data: words(...HELLO), fds: 3, code: "Corrupt" },
  { what: "a greeting of a later version", data: words(...HELLO, 99, 1), fds: 3, code: "Incompatible" },
  { what: "a greeting with two channels", data: words(...HELLO, 1, 2), fds: 3, code: "Incompatible" },
  { what: "a greeting with a negative number of channels", data: words(...HELLO, 1, -1), fds: 3, code: "Incompatible" },
  { what: "a greeting without descriptors", data: words(...HELLO, 1, 1), fds: 0, code: "Incompatible" },
  { what: "a greeting with too many descriptors", data: words(...HELLO, 1, 1), fds: 200, code: "Corrupt" },
  { what: "a greeting with descriptors of something else", data: words(...HELLO, 1, 1), fds: 3, code: "Incompatible" },
];

for (const { what, data, fds, code } of GARBAGE) {
  test(`A client that sends ${what} is ${code} for accept(), and costs no descriptor`, async () => {
    for (const blocking of [false, true]) {
      const server = new IpcOneShotServer<string>();
      const client = UnixSocket.connect(server.name);
      sendFdsSync(client, data, new Array(fds).fill(client.fd));
      if (blocking) assertIpcErrorSync(code, () => server.acceptSync({ timeout: patience(10_000) }));
      else await soon(assertIpcError(code, () => server.accept()));
      client.close(), server.close();
    }
  });
}

test("A client that goes away without a word is Disconnected for accept()", async () => {
  for (const blocking of [false, true]) {
    const server = new IpcOneShotServer<string>();
    UnixSocket.connect(server.name).close();
    if (blocking) assertIpcErrorSync("Disconnected", () => server.acceptSync({ timeout: patience(10_000) }));
    else await soon(assertIpcError("Disconnected", () => server.accept()));
    server.close();
  }
});

test("accept() without a time-out goes on waiting for a client after a stranger that stays silent", async () => {
  using server = new IpcOneShotServer<string>();
  using _silent = UnixSocket.connect(server.name);
  const accepted = server.accept();
  await new Promise((resolve) => setTimeout(resolve, 1)); // the stranger has been accepted
  using sender = IpcSender.connect<string>(server.name);
  sender.sendSync("here I am");
  const [receiver, first] = await soon(accepted);
  assertEquals(first, "here I am");
  receiver.close();
});

test("acceptSync() goes on waiting for a client after a stranger that stays silent, as long as there is time", () => {
  using server = new IpcOneShotServer<string>();
  const silent = UnixSocket.connect(server.name);
  const error = assertIpcErrorSync("Timeout", () => server.acceptSync({ timeout: 5 }));
  assertStringIncludes(error.message, "timed out after 5 ms; a client connected, but did not introduce itself");
  silent.close();
  using _another = UnixSocket.connect(server.name);
  assertIpcErrorSync("Timeout", () => server.acceptSync({ timeout: patience(2500) }));
});

// --- Other processes -------------------------------------------------------------------------------------------------

export function connectAndDie(
  { name, when }: { name: string; when: "before" | "after connecting" | "after the first message" },
  self: Self,
): void {
  if (when !== "before") {
    const sender = IpcSender.connect<string>(name);
    if (when === "after the first message") sender.sendSync("last words");
  }
  self.say();
  Deno.kill(Deno.pid, "SIGKILL");
}

processTest("A client that is killed after its first message is received, then Disconnected", async ({ start }) => {
  const server = new IpcOneShotServer<string>();
  const accepted = server.accept();
  const child = await start(import.meta.url, connectAndDie, { name: server.name, when: "after the first message" });
  const [receiver, first] = await soon(accepted);
  assertEquals(first, "last words");
  await child.status;
  await soon(assertIpcError("Disconnected", () => receiver.recv()));
  receiver.close();
});

processTest("A client that is killed between connecting and its first message is Disconnected", async ({ start }) => {
  for (const blocking of [false, true]) {
    const server = new IpcOneShotServer<string>();
    const accepted = blocking ? undefined : assertIpcError("Disconnected", () => server.accept());
    await start(import.meta.url, connectAndDie, { name: server.name, when: "after connecting" });
    if (blocking) assertIpcErrorSync("Disconnected", () => server.acceptSync({ timeout: patience(20_000) }));
    else await soon(accepted!);
    server.close();
  }
});

processTest("A client that is killed before it connects leaves the server waiting for another", async ({ start }) => {
  const server = new IpcOneShotServer<string>();
  const accepted = server.accept();
  const child = await start(import.meta.url, connectAndDie, { name: server.name, when: "before" });
  await child.status;
  const sender = IpcSender.connect<string>(server.name);
  sender.sendSync("another");
  const [receiver, first] = await soon(accepted);
  assertEquals(first, "another");
  sender.close(), receiver.close();
});

export async function serve({ path, reply }: { path: string; reply: IpcSender<string> }, self: Self): Promise<void> {
  const server = new IpcOneShotServer<string>({ path });
  self.say();
  const [receiver, first] = await server.accept();
  await reply.send(`served: ${first}`);
  receiver.close(), reply.close();
}

processTest("The path of a dead server is taken over, that of a living one is not", async ({ start }) => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/server.sock`;
  const [reply, replies] = channel<string>();
  const dead = await start(import.meta.url, serve, { path, reply });
  await dead.said();
  assertIpcErrorSync("AlreadyExists", () => new IpcOneShotServer({ path }));
  await dead.kill();
  assertEquals((await Deno.lstat(path)).isSocket, true);

  const living = await start(import.meta.url, serve, { path, reply });
  await living.said();
  const sender = IpcSender.connect<string>(path);
  sender.sendSync("hello");
  assertEquals(await soon(replies.recv()), "served: hello");
  assertEquals((await living.status).code, 0);
  await assertRejects(() => Deno.lstat(path), Deno.errors.NotFound);

  await Deno.writeTextFile(path, "a file of somebody's");
  assertIpcErrorSync("AlreadyExists", () => new IpcOneShotServer({ path }));
  assertEquals(await Deno.readTextFile(path), "a file of somebody's");
  sender.close(), reply.close(), replies.close();
  await Deno.remove(folder, { recursive: true });
});

processTest("A receiver from a server moves on like any other", async () => {
  const server = new IpcOneShotServer<number>();
  const sender = IpcSender.connect<number>(server.name);
  sender.sendSync(1), sender.sendSync(2);
  const [receiver] = await server.accept();
  const [carrier, arrivals] = channel<IpcReceiver<number>>();
  carrier.sendSync(receiver);
  const moved = arrivals.recvSync();
  assert(moved instanceof IpcReceiver);
  assertEquals(moved.recvSync(), 2);
  for (const end of [sender, carrier, arrivals, moved]) end.close();
});
