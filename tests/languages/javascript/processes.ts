// Scenarios with a second process, which does one of the roles below.
import process from "node:process";
import {
  bytesChannel,
  expose,
  IpcArc,
  IpcBytesReceiver,
  IpcBytesSender,
  IpcOneShotServer,
  IpcReceiver,
  IpcSender,
  IpcServer,
  IpcSharedMemory,
  locks,
  parent,
  remote,
  spawn,
} from "../../../mod.ts";
import { assert, assertCode, folder, Peer, prefix, say, WAIT, waitForDeath } from "./support.ts";

const COUNT = 3000;

/** What the second process does. */
export const roles: Record<string, () => unknown> = {
  async sends() {
    const sender = IpcSender.open<unknown>(`${folder}/named`);
    for (let i = 0; i < COUNT; i++) await sender.send({ i, bytes: new Uint8Array(i % 500) });
    sender.close();
  },
  async floods() {
    const sender = IpcBytesSender.open(`${folder}/flooded`);
    for (let i = 0;; i++) await sender.send(Uint8Array.of(i & 255, i >> 8 & 255, i >> 16));
  },
  async connects() {
    const line = IpcServer.connect<unknown, unknown>(`${folder}/server`);
    await line.send({ pid: process.pid, memory: IpcSharedMemory.from(new Uint8Array(100_000).fill(4)) });
    for await (const message of line) await line.send(message);
  },
  async lingers() {
    const line = IpcServer.connect<string, never>(`${folder}/server`);
    await line.send("here");
    await waitForDeath();
  },
  async receives() {
    const [sender, receiver] = bytesChannel();
    const parent = IpcSender.connect<unknown>(process.argv[5]!);
    await parent.send(sender);
    await receiver.recv(WAIT);
    await waitForDeath();
  },
  async adds() {
    const cell = IpcArc.load<{ n: number }>(`${prefix}shared`);
    for (let i = 0; i < COUNT; i++) await cell.update((value) => ({ n: value.n + 1 }), WAIT);
    cell.close();
  },
  async holds() {
    const guard = IpcArc.load<{ n: number }>(`${prefix}held`).acquireSync(WAIT);
    guard.value = { n: 666 };
    say("held");
    await waitForDeath();
    guard.release();
  },
  async locks() {
    await locks.request(`${prefix}killed`, async () => {
      say("held");
      await waitForDeath();
    });
  },
  async answersParent() {
    const line = parent<number, string>();
    await line.run((text) => text.length);
  },
  async exposes() {
    const line = IpcServer.connect(`${folder}/calls`);
    await expose(line, { double: (n: number) => n * 2 });
  },
};

/** Values by a named channel, in order and all. */
export async function namedChannel(): Promise<void> {
  const receiver = IpcReceiver.create<{ i: number; bytes: Uint8Array }>(`${folder}/named`, { capacity: 65536 });
  const peer = new Peer("sends");
  for (let i = 0; i < COUNT; i++) {
    const message = await receiver.recv(WAIT);
    assert.ok(message.i === i && message.bytes.length === i % 500);
  }
  await peer.done();
  receiver.close();
}

/** A sender that is killed while it sends: what has come is whole and in order, and the next one goes on. */
export async function killedSender(): Promise<void> {
  const receiver = IpcBytesReceiver.create(`${folder}/flooded`, { capacity: 65536 });
  for (let turn = 0; turn < 3; turn++) {
    const peer = new Peer("floods");
    let next = 0;
    const take = (bytes: Uint8Array) => assert.equal(bytes[0]! | bytes[1]! << 8 | bytes[2]! << 16, next++);
    for (let i = 0; i < 500; i++) take(await receiver.recv(WAIT));
    await peer.kill();
    for (let left = receiver.tryRecv(); left.state === "message"; left = receiver.tryRecv()) take(left.value);
  }
  receiver.close();
}

/** A server and its client: a conversation with memory in it, then the client's death. */
export async function server(): Promise<void> {
  const listening = new IpcServer<unknown, unknown>({ path: `${folder}/server` });
  const peer = new Peer("connects");
  const line = await listening.accept(WAIT);
  const first = await line.recv(WAIT) as { pid: number; memory: IpcSharedMemory };
  assert.equal(first.pid, peer.pid);
  assert.equal(line.peer?.pid, peer.pid);
  assert.ok(first.memory.length === 100_000 && first.memory.bytes.every((byte) => byte === 4));
  first.memory.close();
  for (let i = 0; i < 500; i++) {
    await line.send({ i });
    assert.deepEqual(await line.recv(WAIT), { i });
  }
  line.close();
  await peer.done();
  const second = new Peer("lingers");
  const other = await listening.accept(WAIT);
  assert.equal(await other.recv(WAIT), "here");
  const waiting = other.recv(WAIT);
  await Promise.all([assertCode("Disconnected", () => waiting), second.kill()]);
  await assertCode("Disconnected", () => other.send(1));
  other.close(), listening.close();
}

/** A receiver that is killed while its sender waits for room. */
export async function killedReceiver(): Promise<void> {
  const door = new IpcOneShotServer<IpcBytesSender>();
  const peer = new Peer("receives", door.name);
  const [rest, sender] = await door.accept(WAIT);
  rest.close();
  for (;;) if (!sender.trySend(new Uint8Array(100_000))) break;
  const waiting = (async () => {
    for (;;) await sender.send(new Uint8Array(100_000), WAIT);
  })();
  await Promise.all([assertCode("Disconnected", () => waiting), peer.kill()]);
  sender.close();
}

/** Two processes add to one value; the death of one that has its lock loses nothing. */
export async function sharedCell(): Promise<void> {
  const cell = IpcArc.create(`${prefix}shared`, { n: 0 });
  const peer = new Peer("adds");
  for (let i = 0; i < COUNT; i++) {
    const guard = await cell.acquire(WAIT);
    guard.value = { n: guard.value.n + 1 };
    guard.release();
  }
  await peer.done();
  assert.deepEqual(cell.read(), { n: 2 * COUNT });
  cell.close();
}

/** The holder of a cell's lock is killed. */
export async function killedHolder(): Promise<void> {
  const cell = IpcArc.create(`${prefix}held`, { n: 5 });
  for (const how of ["awaiting", "blocking"]) {
    const peer = new Peer("holds");
    await peer.said("held");
    assert.equal(cell.tryAcquire(), undefined);
    const waiting = how === "awaiting" ? cell.acquire(WAIT) : undefined;
    await peer.kill();
    const guard = await waiting ?? cell.acquireSync(WAIT);
    assert.ok(guard.ownerDied);
    assert.deepEqual(guard.value, { n: 5 });
    guard.release();
  }
  cell.close();
}

/** The holder of a lock by name is killed. */
export async function killedLock(): Promise<void> {
  const peer = new Peer("locks");
  await peer.said("held");
  const waiting = locks.request(`${prefix}killed`, WAIT, (lock) => lock.ownerDied);
  await peer.kill();
  assert.equal(await waiting, true);
}

/** Calls into another process. */
export async function callsBetween(): Promise<void> {
  const listening = new IpcServer({ path: `${folder}/calls` });
  const peer = new Peer("exposes");
  const line = await listening.accept(WAIT);
  listening.close();
  const far = remote<{ double(n: number): number }>(line, WAIT);
  for (let i = 0; i < 200; i++) assert.equal(await far.double(i), 2 * i);
  line.close();
  await peer.done();
}

/** Programs are started, talked with, and ended. */
export async function spawns(): Promise<void> {
  const child = await spawn<string, number>(new URL("./main.js", import.meta.url), { args: ["answersParent"] });
  for (const text of ["", "a", "abc"]) {
    await child.send(text);
    assert.equal(await child.recv(WAIT), text.length);
  }
  child.kill("SIGKILL");
  await assertCode("Disconnected", () => child.recv(WAIT));
  assert.deepEqual(await child.status, { success: false, code: 137, signal: "SIGKILL" });
  child.close();
  const args = [...process.execArgv, process.argv[1]!, "answersParent"];
  const other = await spawn<string, number>(process.execPath, { args, stdin: "null", stdout: "piped" });
  other.close();
  assert.equal((await other.status).code, 0);
  assert.equal(await new Response(other.stdout).text(), "");
  await assertCode("NotFound", () => spawn("isthmus-no-such-program"));
  await assertCode("NotFound", () => spawn("sh", { cwd: `${folder}/none` }));
  await assertCode("Disconnected", () => spawn("true"));
  await assertCode("Timeout", () => spawn("sleep", { args: ["100"], timeout: 50 }));
}
