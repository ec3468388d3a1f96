// Values that are made to harm who reads them: sent by another process, with a legitimate end of its own, to a server that is honest.
import { assert, assertEquals } from "@std/assert";
import { Message } from "../../channel/message/outgoing.ts";
import { decodeCbor } from "../../cbor/mod.ts";
import { type IpcDuplex, IpcError, IpcReceiver, IpcSender, IpcServer } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { soon } from "../support/assert_ipc.ts";
import { array, bytesOfLength, head, map, of, reference, shared, tag } from "../support/cbor_hex.ts";
import { FUNCTION, READ, REFUSED } from "../support/hostile_messages.ts";
import { openChannel } from "../support/open_channel.ts";
import { patience } from "../support/patience.ts";
import { processTest, test } from "../support/test.ts";

// --- An honest server, and a client that is not ---

interface Reply {
  readonly refused?: string;
  readonly json?: string;
  readonly echo?: unknown;
  readonly rss?: number;
  readonly left?: string[];
}

/** Reads what its clients send, and gives texts of a Map back in capitals. */
export async function honestServer(_: unknown, self: Self): Promise<void> {
  const server = new IpcServer<Reply, unknown>();
  self.say(server.name);
  for await (const client of server) void serve(client);
}

async function serve(client: IpcDuplex<Reply, unknown>): Promise<void> {
  for (;;) {
    try {
      const value = await client.recv();
      if (value === "how are you?") await client.send(condition());
      else if (value instanceof Map) {
        await client.send({ echo: [...value.values()].map((v) => String(v).toUpperCase()) });
      } else await client.send({ json: shown(value) });
    } catch (error) {
      if (!(error instanceof IpcError) || error.code !== "Serialization") {
        if (error instanceof IpcError && error.code === "Disconnected") return client.close();
        await client.send({ refused: `not Serialization: ${error}` });
        continue;
      }
      await client.send({ refused: error.message });
    }
  }
}

function shown(value: unknown): string {
  try {
    return JSON.stringify(value, (_, v) => typeof v === "bigint" ? String(v) : v)?.slice(0, 1000) ?? "undefined";
  } catch {
    return "what JSON cannot say";
  }
}

/** What harm shows in. */
function condition(): Reply {
  const left = [Object, Array, Function, Object.prototype, Array.prototype, Map.prototype].flatMap(Object.keys);
  return { rss: Deno.memoryUsage().rss, left };
}

interface HostileJob {
  readonly name: string;
  readonly messages: readonly string[];
}

/** Sends bytes of its choice by a legitimate end, and says what comes back. */
export async function hostileClient({ name, messages }: HostileJob, self: Self): Promise<void> {
  const end = IpcServer.connect<unknown, Reply>(name);
  let bytes = new Uint8Array();
  // What is encoded is of no importance: these bytes go in its place.
  Message.prototype.setWritten = function () {
    this.setBytes(bytes);
  };
  for (const hex of messages) {
    bytes = Uint8Array.fromHex(hex);
    await end.send(null);
    self.say(await end.recv({ timeout: patience(60_000) }));
  }
  self.hear();
}

processTest(
  "Hostile values cost their sender an error, and no one else anything: by another process to a server",
  async ({ start }) => {
    const module = import.meta.url;
    const server = await start(module, honestServer, null);
    const name = await server.said<string>();
    // A client whose secrets are in the server's memory.
    const honest = IpcServer.connect<unknown, Reply>(name);
    const secret = "the secret of another client ".repeat(40);
    const asks = async (value: unknown) => {
      await honest.send(value);
      return await soon(honest.recv(), "The server");
    };
    for (let i = 0; i < 20; i++) {
      assertEquals(await asks(new Map([["secret", secret]])), { echo: [secret.toUpperCase()] });
    }
    const before = await asks("how are you?");
    assertEquals(before.left, []);

    const names = [...Object.keys(REFUSED), ...Object.keys(READ)];
    const messages = [...Object.values(REFUSED), ...Object.values(READ).map(([hex]) => hex)];
    const hostile = await start(module, hostileClient, { name, messages });
    for (const [i, what] of names.entries()) {
      const reply = await soon(hostile.said<Reply>(), what);
      assert(!JSON.stringify(reply).toLowerCase().includes("secret of"), `${what}: it learns a secret`);
      if (i < Object.keys(REFUSED).length) {
        assert(reply.refused?.startsWith("Cannot decode a message of"), `${what}: ${JSON.stringify(reply)}`);
      } else {
        const [, meaning] = READ[what]!;
        const json = typeof meaning === "string" ? meaning : JSON.stringify(meaning);
        if (meaning !== undefined) assertEquals(reply.json, json, what);
        assertEquals(reply.refused, undefined, what);
      }
      if (i % 10 === 0) {
        assertEquals(await asks(new Map([["secret", secret]])), { echo: [secret.toUpperCase()] }, `after ${what}`);
      }
    }
    const after = await asks("how are you?");
    assertEquals(after.left, [], "something was left on a prototype");
    // The largest message has 300 KB.
    assert(after.rss! - before.rss! < 256 << 20, `${(after.rss! - before.rss!) >> 20} MiB more`);
    honest.close();
  },
);

/** Writes hostile bytes into a named channel. */
export async function hostileWriter(
  { path, messages }: { path: string; messages: string[] },
  self: Self,
): Promise<void> {
  const sender = IpcSender.open<unknown>(path);
  let bytes = new Uint8Array();
  Message.prototype.setWritten = function () {
    this.setBytes(bytes);
  };
  for (const hex of messages) {
    bytes = Uint8Array.fromHex(hex);
    await sender.send(null);
  }
  self.say("sent");
  self.hear();
}

processTest(
  "Hostile values through a named channel: each is one error, and what is between them arrives",
  async ({ start }) => {
    const path = `${Deno.makeTempDirSync()}/channel`;
    const receiver = IpcReceiver.create<unknown>(path, { capacity: 1 << 22 });
    const messages = Object.values(REFUSED).filter((hex) => hex.length < 1 << 20).flatMap((
      hex,
    ) => [hex, of({ good: 1 })]);
    const writer = await start(import.meta.url, hostileWriter, { path, messages });
    for (let i = 0; i < messages.length; i += 2) {
      let error: unknown;
      try {
        await soon(receiver.recv());
      } catch (thrown) {
        error = thrown;
      }
      assert(error instanceof IpcError && error.code === "Serialization", `${messages[i]!.slice(0, 80)}: ${error}`);
      assertEquals(await soon(receiver.recv()), { good: 1 });
    }
    assertEquals(await writer.said(), "sent");
    receiver.close();
    await writer.kill();
    Deno.removeSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  },
);

test("A value with a property then arrives as it is, by every way to receive it", async () => {
  const { sender, receiver, ring, close } = openChannel<unknown>();
  const hex = map(of("then"), head(0, 1), of("x"), map(of("then"), of("y")));
  const expected = { then: 1, x: { then: "y" } };
  for (let i = 0; i < 4; i++) assert(ring.trySend(Message.of(Uint8Array.fromHex(hex))));
  assertEquals(await soon(receiver.recv({ timeout: 100 })), expected);
  assertEquals(receiver.recvSync({ timeout: 0 }), expected);
  const borrowed = await soon(receiver.borrow({ timeout: 100 }));
  assertEquals(borrowed.value, expected);
  borrowed.release();
  assertEquals(receiver.recvMany(), [expected]);
  sender.sendSync(1);
  close();
});

// --- Tags ---

/** Tags that are read, and what each needs to stand before. */
const TAGS_READ: Record<number, string> = {
  ...{
    0: "text",
    1: "number",
    2: "bytes",
    3: "bytes",
    21: "any",
    22: "any",
    23: "any",
    24: "bytes",
    27: "class",
    28: "any",
  },
  ...{
    29: "reference",
    32: "text",
    33: "text",
    34: "text",
    36: "text",
    258: "array",
    259: "map",
    273: "bytes",
    55799: "any",
  },
  ...Object.fromEntries([64, 68, 69, 70, 71, 72, 77, 78, 79, 84, 85, 86].map((n) => [n, "bytes"])),
};

const CONTENTS: Record<string, string[]> = {
  number: [head(0, 1), head(1, 1), "f93c00", "fb3ff8000000000000"],
  text: [of("constructor"), of("push"), of("2020-01-01T00:00:00Z"), of("")],
  bytes: ["40", bytesOfLength(1), bytesOfLength(8), bytesOfLength(16)],
  array: [
    "80",
    array(of("constructor")),
    array(head(0, 1), head(0, 2)),
    array(array(of("a")), of("b")),
    array(FUNCTION),
  ],
  map: ["a0", map(of("buffer"), head(0, 8)), map(of("then"), head(0, 1)), map(head(0, 1), head(0, 2))],
  rest: ["f4", "f6", "f7", "e0", FUNCTION, reference(0), reference(1), shared(of([]))],
};

test("Every tag is read with one meaning or refused: all up to 300, and those that cbor-x knows beyond", () => {
  const numbers = [
    ...Array.from({ length: 301 }, (_, i) => i),
    ...[
      1004,
      1040,
      40_000,
      43_000,
      51_455,
      55_799,
      0xdff9,
      0xdffe,
      0xdfff,
      0xe000,
      0xe001,
      0xefff,
      0x53687264,
      0x52756262,
    ],
    ...[2 ** 32, 2 ** 53, 2n ** 63n, 2n ** 64n - 1n],
  ];
  for (const number of numbers) {
    for (const [kind, contents] of Object.entries(CONTENTS)) {
      for (const content of contents) {
        const hex = tag(number, content);
        for (const each of [hex, array(hex), map(of("a"), hex), array(tag(258, "80"), hex)]) {
          let value: unknown, error: unknown;
          try {
            value = decodeCbor(Uint8Array.fromHex(each));
          } catch (thrown) {
            error = thrown;
          }
          if (error !== undefined) {
            assert(error instanceof IpcError && error.code === "Serialization", `${each}: ${error}`);
          }
          const meant = TAGS_READ[Number(number)];
          const mayBeRead = meant === "any" ? !content.startsWith("d8c8") : meant === kind;
          if (!mayBeRead) {
            assert(error !== undefined, `tag ${number} before ${content} was read: ${Deno.inspect(value)}`);
          }
          assertEquals(Object.keys(Array).length + Object.keys(Object.prototype).length, 0);
        }
      }
    }
  }
});
