// Servers with a path, between processes in namespaces of their own that share a folder, as containers do.
import { assert, assertEquals } from "@std/assert";
import {
  channel,
  type IpcDuplex,
  type IpcError,
  IpcFd,
  IpcOneShotServer,
  type IpcReceiver,
  IpcSender,
  IpcServer,
  IpcSharedMemory,
} from "../../../mod.ts";
import { createDoorbell } from "../../../ffi/event/doorbell.ts";
import type { Self } from "../../support/actor.ts";
import { assertIpcError, soon } from "../../support/assert_ipc.ts";
import { containerTest } from "../../support/containers.ts";
import { patience } from "../../support/patience.ts";
import { setTrap } from "../../support/step_trap.ts";

/** Everything that can travel. */
interface Parcel {
  readonly n: number;
  readonly bytes: Uint8Array;
  readonly memory: IpcSharedMemory;
  readonly write: IpcFd;
  readonly answer: IpcSender<string>;
  readonly questions: IpcReceiver<string>;
}

type ToServer = Parcel | string;
type ToClient = number | string;

/** A client: sends parcels, and whatever the answer is of. */
export async function client({ path, parcels }: { path: string; parcels: number }, self: Self): Promise<void> {
  using duplex = IpcServer.connect<ToServer, ToClient>(path);
  for (let n = 0; n < parcels; n++) {
    const [listen, write] = createDoorbell();
    const [answer, answers] = channel<string>(), [asking, questions] = channel<string>();
    const memory = IpcSharedMemory.filled(n, 100_000);
    asking.sendSync(`question ${n}`);
    await duplex.send({
      n,
      bytes: new Uint8Array(n === 1 ? 5 << 20 : 5).fill(n),
      memory,
      write: new IpcFd(write.take()),
      answer,
      questions,
    });
    answer.close();
    assertEquals(await duplex.recv({ timeout: patience(20_000) }), n);
    assertEquals(await answers.recv({ timeout: patience(20_000) }), `question ${n}, answered`);
    assertEquals(memory.bytes[7], n + 100);
    using file = Deno.openSync(`/proc/self/fd/${listen.fd}`);
    const text = new Uint8Array(20);
    assertEquals(new TextDecoder().decode(text.subarray(0, file.readSync(text)!)), `written ${n}`);
    for (const end of [listen, answers, asking, memory]) end.close();
  }
  self.say("served");
  self.hear();
}

/** Deals with the parcels of one client; says how many there were. */
async function serve(served: IpcDuplex<ToClient, ToServer>): Promise<number> {
  let n = 0;
  for await (const message of served) {
    const { bytes, memory, write, answer, questions } = message as Parcel;
    assertEquals([(message as Parcel).n, bytes.length, bytes[4]], [n, n === 1 ? 5 << 20 : 5, n]);
    assert(memory.bytes.every((byte) => byte === n));
    memory.bytes[7] = n + 100;
    using file = Deno.openSync(`/proc/self/fd/${write.fd}`, { write: true });
    file.writeSync(new TextEncoder().encode(`written ${n}`));
    answer.sendSync(`${await questions.recv({ timeout: patience(20_000) })}, answered`);
    for (const end of [memory, write, answer, questions]) end.close();
    await served.send(n++);
  }
  return n;
}

/** A server for one client. */
export async function server({ path }: { path: string }, self: Self): Promise<void> {
  using server = new IpcServer<ToClient, ToServer>({ path });
  self.say("listens");
  using served = await server.accept({ timeout: patience(20_000) });
  self.say(served.peer);
  self.say(await serve(served));
}

containerTest("A server here and a client in a container send each other messages, memory and descriptors", async (
  { path: folder },
  { startContained },
) => {
  using server = new IpcServer<ToClient, ToServer>({ path: `${folder}/server.sock` });
  const child = await startContained(import.meta.url, client, { path: server.name, parcels: 3 }, folder);
  using served = await server.accept({ timeout: patience(20_000) });
  assert(
    served.peer!.pid > 0 && served.peer!.pid !== child.pid,
    `the client's number as it is here: ${served.peer!.pid}`,
  );
  const serving = serve(served);
  assertEquals(await child.said(), "served");
  await child.kill();
  assertEquals(await soon(serving), 3);
});

containerTest("A server and a client in two containers do the same", async ({ path: folder }, { startContained }) => {
  const path = `${folder}/server.sock`;
  const serving = await startContained(import.meta.url, server, { path }, folder);
  assertEquals(await serving.said(), "listens");
  const asking = await startContained(import.meta.url, client, { path, parcels: 3 }, folder);
  assertEquals((await serving.said<{ pid: number }>()).pid, 0, "the client has no number there");
  assertEquals(await asking.said(), "served");
  await asking.kill();
  assertEquals(await serving.said(), 3);
  assertEquals((await serving.status).code, 0);
});

/** Receives what it gets until it is told of the end. */
export async function receiveAll({ path }: { path: string }, self: Self): Promise<void> {
  using duplex = IpcServer.connect<ToServer, ToClient>(path);
  for await (const message of duplex) self.say(message);
  self.say("the end");
}

containerTest("A client in a container learns of the end of its server, also by the death of its container", async (
  { path: folder },
  { startContained },
) => {
  const path = `${folder}/server.sock`;
  const asking = await (async () => {
    using server = new IpcServer<ToClient, ToServer>({ path });
    const child = await startContained(import.meta.url, receiveAll, { path }, folder);
    using served = await server.accept({ timeout: patience(20_000) });
    served.sendSync("last words");
    return child;
  })();
  assertEquals(await asking.said(), "last words");
  assertEquals(await asking.said(), "the end");

  const serving = await startContained(import.meta.url, server, { path }, folder);
  assertEquals(await serving.said(), "listens");
  using duplex = IpcServer.connect<ToServer, ToClient>(path);
  assertEquals((await serving.said<{ pid: number }>()).pid, 0);
  const waiting = duplex.recv({ timeout: patience(20_000) });
  await serving.kill();
  await assertIpcError("Disconnected", () => waiting);
  // Its socket file is stale, once the system has closed all that it had, and is replaced.
  const another = await soon((async () => {
    for (;;) {
      try {
        return new IpcServer({ path });
      } catch (error) {
        if ((error as IpcError).code !== "AlreadyExists") throw error;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
  })());
  another.close();
});

/** Connects to a one-shot server, sends, and is killed at a step of a later message. */
export function victim({ path, count }: { path: string; count: number }, self: Self): void {
  const sender = IpcSender.connect<number>(path);
  for (let n = 0; n < count; n++) sender.sendSync(n);
  self.hear();
  setTrap({ step: "claimed", occurrence: 1, signal: "SIGKILL" });
  sender.sendSync(count);
}

containerTest("A sender alone on its channel, killed in a container between claim and commit, is Disconnected", async (
  { path: folder },
  { startContained },
) => {
  using server = new IpcOneShotServer<number>({ path: `${folder}/server.sock` });
  const child = await startContained(import.meta.url, victim, { path: server.name, count: 3 }, folder);
  const [receiver, first] = await server.accept({ timeout: patience(20_000) });
  assertEquals(first, 0);
  await child.tell();
  await child.status;
  assertEquals(
    [await receiver.recv({ timeout: patience(20_000) }), await receiver.recv({ timeout: patience(20_000) })],
    [1, 2],
  );
  await assertIpcError("Disconnected", () => receiver.recv({ timeout: patience(20_000) }));
  receiver.close();
});
