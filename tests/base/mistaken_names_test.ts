// Names that stand for something other than the program thinks: told where the mistake is made, and nobody else suffers.
import { assert, assertEquals, assertInstanceOf, assertStringIncludes, assertThrows } from "@std/assert";
import { IpcArc, IpcError, IpcFd, IpcOneShotServer, IpcReceiver, IpcSender, IpcServer, UnixSocket } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { patience } from "../support/patience.ts";
import { processTest, test } from "../support/test.ts";

type Way = "IpcSender.connect()" | "IpcServer.connect()";

interface Attempt {
  name: string;
  way: Way;
}

/** Connects one way or the other, and tells the test what became of it. */
export async function connect({ name, way }: Attempt, self: Self): Promise<void> {
  try {
    using client = way === "IpcSender.connect()"
      ? IpcSender.connect<number>(name)
      : IpcServer.connect<number, number>(name);
    self.say("connected");
    self.hear();
    // Whoever is turned away finds it out by sending: one-shot servers have nothing to say.
    for (;;) {
      client.sendSync(1);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  } catch (error) {
    self.say([(error as IpcError).code, (error as Error).message]);
  }
}

function withFolder(use: (path: string) => Promise<void>): Promise<void> {
  const folder = Deno.makeTempDirSync();
  return use(`${folder}/it`).finally(() => Deno.removeSync(folder, { recursive: true }));
}

processTest(
  "IpcServer.connect() to a one-shot server's name is refused, and the server hears nothing of it",
  async ({ start }) => {
    using server = new IpcOneShotServer<number>();
    const accepted = server.accept({ timeout: patience(30_000) });
    const child = await start(import.meta.url, connect, { name: server.name, way: "IpcServer.connect()" });
    const [code, message] = await child.said() as [string, string];
    assertEquals(code, "Incompatible");
    for (const part of [server.name, "IpcOneShotServer", "use IpcSender.connect()"]) {
      assertStringIncludes(
        message,
        part,
      );
    }
    using right = IpcSender.connect<number>(server.name);
    right.sendSync(5);
    const [receiver, first] = await accepted;
    assertEquals(first, 5);
    receiver.close();
  },
);

processTest(
  "IpcSender.connect() to a server's name is refused, and the server hears nothing of it",
  async ({ start }) => {
    using server = new IpcServer<number, number>({ capacity: 100_000 });
    const accepted = server.accept({ timeout: patience(30_000) });
    const child = await start(import.meta.url, connect, { name: server.name, way: "IpcSender.connect()" });
    const [code, message] = await child.said() as [string, string];
    assertEquals(code, "Incompatible");
    for (const part of [server.name, "an IpcServer", "use IpcServer.connect()"]) assertStringIncludes(message, part);
    using right = IpcServer.connect<number, number>(server.name);
    right.sendSync(5);
    using served = await accepted;
    assertEquals(await soon(served.recv()), 5);
  },
);

for (const blocking of [false, true]) {
  processTest(
    `A client of IpcServer.connect() at a one-shot server's path is Incompatible for ${
      blocking ? "acceptSync()" : "accept()"
    }, and the next client is served`,
    ({ start }) =>
      withFolder(async (path) => {
        using server = new IpcOneShotServer<number>({ path });
        const child = await start(import.meta.url, connect, { name: path, way: "IpcServer.connect()" });
        assertEquals(await child.said(), "connected");
        const timeout = patience(30_000);
        const error = blocking
          ? assertIpcErrorSync("Incompatible", () => server.acceptSync({ timeout }))
          : await assertIpcError("Incompatible", () => server.accept({ timeout }));
        for (const part of ["IpcServer.connect()", "this is an IpcOneShotServer", "use IpcSender.connect()"]) {
          assertStringIncludes(error.message, part);
        }
        await child.tell(0);
        assertEquals((await child.said() as string[])[0], "Disconnected");
        using right = IpcSender.connect<number>(path);
        right.sendSync(5);
        const [receiver, first] = await soon(server.accept());
        assertEquals(first, 5);
        receiver.close();
      }),
  );

  processTest(
    `A client of IpcSender.connect() at a server's path holds nobody up, and ${
      blocking ? "acceptSync()" : "accept()"
    } that runs out of time says why it was turned away`,
    ({ start }) =>
      withFolder(async (path) => {
        using server = new IpcServer<number, number>({ path });
        const child = await start(import.meta.url, connect, { name: path, way: "IpcSender.connect()" });
        assertEquals(await child.said(), "connected");
        const error = blocking
          ? assertIpcErrorSync("Timeout", () => server.acceptSync({ timeout: 50 }))
          : await assertIpcError("Timeout", () => server.accept({ timeout: 50 }));
        for (const part of ["IpcSender.connect()", "this is an IpcServer", "use IpcServer.connect()"]) {
          assertStringIncludes(error.message, part);
        }
        assertInstanceOf(error.cause, IpcError);
        assertEquals(error.cause.code, "Incompatible");
        await child.tell(0);
        assertEquals((await child.said() as string[])[0], "Disconnected");
        using right = IpcServer.connect<number, number>(path);
        right.sendSync(5);
        using served = await soon(server.accept());
        assertEquals(await soon(served.recv()), 5);
        // Somebody was served since: nothing to explain any more.
        const later = assertIpcErrorSync("Timeout", () => server.acceptSync({ timeout: 5 }));
        assertEquals(later.cause, undefined);
      }),
  );
}

test("An accept that runs out of time says that allow has turned somebody away", async () => {
  using server = new IpcServer<number, number>({ allow: () => false });
  using _client = IpcServer.connect<number, number>(server.name);
  const error = await assertIpcError("Timeout", () => server.accept({ timeout: 50 }));
  assertEquals((error.cause as IpcError).code, "Permission");
  assertStringIncludes(error.message, String(Deno.pid));
});

test("A one-shot server that waits in vain says for how long, and how far its client came", async () => {
  const server = new IpcOneShotServer<number>();
  const none = await assertIpcError("Timeout", () => server.accept({ timeout: 21 }));
  for (const part of ["timed out after 21 ms", server.name, "nobody connected"]) {
    assertStringIncludes(none.message, part);
  }
  using _client = IpcSender.connect<number>(server.name);
  const silent = assertIpcErrorSync("Timeout", () => server.acceptSync({ timeout: 22 }));
  for (const part of ["timed out after 22 ms", server.name, "sent nothing"]) assertStringIncludes(silent.message, part);
  server.close();

  using strict = new IpcOneShotServer<number>({ allow: () => false });
  using _refused = IpcSender.connect<number>(strict.name);
  const refused = await assertIpcError("Timeout", () => strict.accept({ timeout: 23 }));
  for (const part of [`process ${Deno.pid} of user`, '"allow"']) assertStringIncludes(refused.message, part);
});

processTest(
  "A named channel is no server, and a server no named channel: Incompatible, and neither is touched",
  () =>
    withFolder(async (path) => {
      using receiver = IpcReceiver.create<number>(path);
      for (const connect of [() => IpcSender.connect(path), () => IpcServer.connect(path)]) {
        assertStringIncludes(assertIpcErrorSync("Incompatible", connect).message, "IpcSender.open()");
      }
      assertStringIncludes(
        assertIpcErrorSync("AlreadyExists", () => new IpcServer({ path })).message,
        "some other file",
      );
      using sender = IpcSender.open<number>(path);
      sender.sendSync(1);
      assertEquals(receiver.recvSync(), 1);

      const socket = `${path}.sock`;
      using server = new IpcServer<number, number>({ path: socket });
      for (
        const open of [() => IpcSender.open(socket), () => IpcReceiver.create(socket), () => IpcReceiver.remove(socket)]
      ) {
        assertStringIncludes(assertIpcErrorSync("Incompatible", open).message, "IpcServer.connect()");
      }
      const second = assertIpcErrorSync("AlreadyExists", () => new IpcServer({ path: socket }));
      assertStringIncludes(second.message, "somebody listens there already");
      using client = IpcServer.connect<number, number>(socket);
      using served = await soon(server.accept());
      client.sendSync(2);
      assertEquals(await soon(served.recv()), 2);
    }),
);

processTest("A path that nothing is at says so: no file, no server any more, no folder", () =>
  withFolder((path) => {
    assertStringIncludes(assertIpcErrorSync("NotFound", () => IpcServer.connect(path)).message, "no such file");
    new IpcFd(UnixSocket.listen(path).takeFd()).close(); // as if killed: the file stays
    assert(Deno.lstatSync(path).isSocket);
    assertStringIncludes(assertIpcErrorSync("NotFound", () => IpcSender.connect(path)).message, "the server has ended");
    for (const open of [() => IpcSender.open(`${path}/no/channel`), () => IpcReceiver.create(`${path}s/channel`)]) {
      const error = assertThrows(open, IpcError);
      assert(error.code === "NotFound" || error.errno === 20, error.message); // 20: ENOTDIR
    }
    const folder = path.slice(0, path.lastIndexOf("/"));
    assertStringIncludes(assertIpcErrorSync("Incompatible", () => IpcSender.open(folder)).message, "a folder");
    assertStringIncludes(assertIpcErrorSync("Incompatible", () => IpcSender.connect(folder)).message, "a folder");
    return Promise.resolve();
  }));

test("The name of a server is no path of a channel, and no path is the name of a cell", () => {
  for (const open of [() => IpcSender.open("@chat"), () => IpcReceiver.create("@chat")]) {
    assertStringIncludes(assertThrows(open, TypeError).message, "servers");
  }
  assertThrows(() => IpcArc.load("/dev/shm/cell"), TypeError);
  // An argument that is not there, as when a child is started without one.
  const missing = undefined as unknown as string;
  for (const connect of [() => IpcSender.connect(missing), () => IpcServer.connect(missing)]) {
    assertThrows(connect, TypeError, "Cannot use undefined as the name");
  }
});
