import { assert, assertEquals } from "@std/assert";
import { type IpcFd, type ReceivedFds, recvFds, recvFdsSync, sendFds, sendFdsSync, UnixSocket } from "../../../mod.ts";
import { createDoorbell } from "../../../ffi/event/doorbell.ts";
import { libc } from "../../../ffi/libc/libc.ts";
import { sameFileKey } from "../../../ffi/memory/storage.ts";
import { assertIpcError, soon } from "../../support/assert_ipc.ts";
import { Folder } from "../../support/folder.ts";
import { processTest } from "../../support/test.ts";

const here = (name: string) => new URL(`../../languages/${name}`, import.meta.url).pathname;
const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

const mayRun = (["run", "write"] as const).every((name) => Deno.permissions.querySync({ name }).state === "granted");

/** The first of these programs that is installed. */
function installed(...names: string[]): string | undefined {
  return mayRun
    ? names.find((name) => {
      try {
        return new Deno.Command(name, { args: ["--version"], stdout: "null", stderr: "null" }).outputSync().success;
      } catch {
        return false;
      }
    })
    : undefined;
}

const compiler = installed("gcc", "cc"), python = installed("python3");

/** How each of the other programs is started. */
const PEERS: { language: string; command: string | undefined; prepare: (folder: Folder) => string[] }[] = [
  {
    language: "C",
    command: compiler,
    prepare(folder) {
      const program = `${folder.path}/fd_peer`;
      const built = new Deno.Command(compiler!, {
        args: ["-Wall", "-Werror", "-o", program, here("fd_peer.c")],
        stderr: "inherit",
      }).outputSync();
      assert(built.success, "the C program does not compile");
      return [program];
    },
  },
  { language: "Python", command: python, prepare: () => [python!, here("fd_peer.py")] },
];

/** Both ways of each call, by turns. */
class Line {
  #turn = 0;
  constructor(readonly socket: UnixSocket) {}

  async send(data: Uint8Array, fds: readonly number[] = []): Promise<void> {
    if (this.#turn++ % 2 === 0) sendFdsSync(this.socket, data, fds);
    else await soon(sendFds(this.socket, data, fds));
  }

  async receive(maxBytes = 65_536, maxFds?: number): Promise<ReceivedFds> {
    return this.#turn % 2 === 0 ? recvFdsSync(this.socket, maxBytes, maxFds) : await soon(
      recvFds(this.socket, maxBytes, maxFds),
    );
  }

  /** Asks the peer for something. */
  async ask(text: string, fds: readonly number[] = [], maxFds?: number): Promise<ReceivedFds> {
    await this.send(encode(text), fds);
    return await this.receive(65_536, maxFds);
  }
}

function openDescriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

/** What the event loop had adopted is closed in its own time. */
async function expectDescriptors(before: number): Promise<void> {
  for (let turn = 0; turn < 100 && openDescriptors() > before; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assertEquals(openDescriptors(), before);
}

async function connectWhenThere(name: string, type: "stream" | "seqpacket"): Promise<UnixSocket> {
  for (;;) {
    try {
      return UnixSocket.connect(`@${name}`, { type });
    } catch (error) {
      if ((error as { code?: string }).code !== "NotFound") throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Closes what came, and says of which files they were. */
function keysOf(fds: IpcFd[]): string[] {
  const keys = fds.map((fd) => sameFileKey(fd.fd));
  for (const fd of fds) fd.close();
  return keys;
}

async function converse(line: Line, language: string, type: "stream" | "seqpacket"): Promise<void> {
  const count = async () => Number(decode((await line.ask("N")).data));
  await line.ask("E"), await line.ask("E"); // both ways once, so that what Deno keeps is open
  const theirs = await count(), ours = openDescriptors();
  const [listen, ring] = createDoorbell();
  const pair = [listen, ring].map((fd) => sameFileKey(fd.fd));

  // There and back: the same files, in their order, beside the same bytes.
  for (let times = 0; times < 4; times++) {
    const { data, fds } = await line.ask(`E${times}`, [listen.fd, ring.fd, listen.fd]);
    assertEquals(decode(data), `E${times}`);
    assertEquals(keysOf(fds), [pair[0], pair[1], pair[0]]);
    const without = await line.ask("E without");
    assertEquals([decode(without.data), without.fds.length], ["E without", 0]);
  }
  for (const many of [1, 252, 253]) {
    const { fds } = await line.ask("E", new Array(many).fill(ring.fd));
    assertEquals(keysOf(fds), new Array(many).fill(pair[1]));
  }
  const large = new Uint8Array(60_000).fill("E".charCodeAt(0));
  await line.send(large, [ring.fd]);
  let bytes = 0, came = 0;
  while (bytes < large.length) {
    const { data, fds } = await line.receive();
    bytes += data.length, came += keysOf(fds).length;
    if (type === "seqpacket") assertEquals(data.length, large.length);
  }
  assertEquals([bytes, came], [large.length, 1]);

  // The peer uses what it gets.
  assertEquals(decode((await line.ask("W", [ring.fd])).data), "done");
  const written = new Uint8Array(32);
  const length = Number(libc().c.read(listen.fd, written, 32n));
  assertEquals(decode(written.subarray(0, length)), `from ${language}`);

  // More than allowed: reported, closed, and the next message comes through; both ways of receiving.
  for (let times = 0; times < 2; times++) {
    for (const [allowed, sent] of [[0, 1], [2, 3], [2, 100]] as const) {
      const before = openDescriptors();
      await assertIpcError("Corrupt", () => line.ask(`S${String.fromCharCode(sent)}`, [], allowed));
      await expectDescriptors(before);
    }
    assertEquals((await line.ask("S\x03", [], 3).then(({ fds }) => keysOf(fds))).length, 3);
  }
  if (language === "C") {
    for (const sent of [2, 5, 100]) {
      const { data, fds } = await line.ask(`T${String.fromCharCode(sent)}`);
      assertEquals([decode(data), keysOf(fds).length], ["take", sent]);
    }
  }
  listen.close(), ring.close();
  assertEquals(await count(), theirs, "the peer has what it had");
  await expectDescriptors(ours);
}

for (const { language, command, prepare } of PEERS) {
  for (const type of ["stream", "seqpacket"] as const) {
    for (const role of ["connect", "listen"] as const) {
      const name = `sendFds() and recvFds() speak with a ${language} program that ${role}s, over a ${type} socket`;
      if (command === undefined) {
        console.log(
          `Ignored, as ${
            mayRun ? `there is no ${language} on this machine` : "it needs --allow-run and --allow-write"
          }: ${name}`,
        );
        Deno.test({ name, ignore: true, fn: () => {} });
        continue;
      }
      processTest(name, async () => {
        using folder = new Folder("/tmp");
        const address = `isthmus-test-${crypto.randomUUID()}`;
        const server = role === "connect" ? UnixSocket.listen(`@${address}`, { type }) : undefined;
        const [program, ...args] = prepare(folder);
        const child = new Deno.Command(program!, { args: [...args, role, address, type], stdin: "null" }).spawn();
        try {
          const socket = await soon(server?.accept() ?? connectWhenThere(address, type));
          try {
            await converse(new Line(socket), language, type);
          } finally {
            socket.close();
          }
          assertEquals((await soon(child.status)).code, 0);
        } finally {
          server?.close();
          try {
            child.kill("SIGKILL");
          } catch {
            // it has ended
          }
          await child.status;
        }
      });
    }
  }
}
