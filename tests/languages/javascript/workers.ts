// Scenarios with Workers of the same process as peers.
import process from "node:process";
import { Worker } from "node:worker_threads";
import {
  channel,
  IpcArc,
  IpcOneShotServer,
  IpcReceiver,
  IpcSender,
  type IpcSender as Sender,
  locks,
} from "../../../mod.ts";
import { assert, assertCode, folder, prefix, WAIT } from "./support.ts";

const COUNT = 2000;

type Job = { readonly inbox: Sender<Sender<unknown>>; readonly outbox: Sender<unknown> };

/** What the Worker does. */
export const duties: Record<string, () => unknown> = {
  /** Sends back what comes. */
  async echoes() {
    const [sender, receiver] = channel<unknown>();
    const door = IpcSender.connect<unknown>(process.argv[5]!);
    await door.send({ to: sender });
    sender.close();
    const { outbox } = await receiver.recv(WAIT) as Job;
    for await (const message of receiver) await outbox.send(message);
    outbox.close(), door.close(), receiver.close();
  },
  /** Waits until it is terminated, for a message and for a lock that it does not get, with another cell locked. */
  async waits() {
    const guard = IpcArc.load<{ n: number }>(`${prefix}worker-held`).acquireSync(WAIT);
    guard.value = { n: 666 };
    void IpcArc.load(`${prefix}worker-wanted`).acquire();
    await new Promise<void>((resolve) => {
      void locks.request(`${prefix}worker-lock`, () => (resolve(), new Promise(() => {})));
    });
    const [sender, receiver] = channel<unknown>();
    const door = IpcSender.connect<unknown>(process.argv[5]!);
    await door.send({ to: sender });
    await receiver.recv();
  },
  /** Blocks until a message comes, and sends it on. */
  blocks() {
    const receiver = IpcReceiver.create<number>(`${folder}/blocking`);
    const door = IpcSender.connect<unknown>(process.argv[5]!);
    door.sendSync("ready");
    for (let i = 0; i < 100; i++) door.sendSync(receiver.recvSync(WAIT));
    receiver.close(), door.close();
  },
};

/** Starts a Worker; what it has sent first. */
async function start<T>(
  duty: string,
): Promise<{ worker: Worker; from: IpcReceiver<T>; first: T; ended: Promise<void> }> {
  const door = new IpcOneShotServer<T>();
  const argv = [duty, folder, prefix, door.name];
  const worker = new Worker(process.argv[1]!, { argv });
  const ended = new Promise<void>((resolve, reject) => {
    worker.on("exit", () => resolve());
    worker.on("error", reject);
  });
  const [from, first] = await Promise.race([door.accept(WAIT), ended.then(() => assert.fail("the Worker ended"))]);
  return { worker, from, first, ended };
}

/** A Worker as a peer, like another process. */
export async function workerEchoes(): Promise<void> {
  const { from, first, ended } = await start<{ to: Sender<unknown> }>("echoes");
  const [outbox, receiver] = channel<unknown>();
  await first.to.send({ outbox });
  outbox.close();
  for (let i = 0; i < COUNT; i++) {
    await first.to.send({ i });
    assert.deepEqual(await receiver.recv(WAIT), { i });
  }
  first.to.close();
  await assertCode("Disconnected", () => receiver.recv(WAIT));
  await ended;
  from.close(), receiver.close();
}

/** A Worker that blocks its thread while this one goes on. */
export async function workerBlocks(): Promise<void> {
  const { from, first, ended } = await start<unknown>("blocks");
  assert.equal(first, "ready");
  const sender = IpcSender.open<number>(`${folder}/blocking`);
  for (let i = 0; i < 100; i++) {
    await sender.send(i);
    assert.equal(await from.recv(WAIT), i);
  }
  await ended;
  sender.close(), from.close();
}

/** A Worker that is terminated while it waits is a peer that has died. */
export async function workerTerminated(): Promise<void> {
  const held = IpcArc.create(`${prefix}worker-held`, { n: 1 });
  const wanted = IpcArc.create(`${prefix}worker-wanted`, { n: 1 });
  const mine = wanted.acquireSync(WAIT);
  for (let turn = 0; turn < 3; turn++) {
    const { worker, from, first } = await start<{ to: Sender<unknown> }>("waits");
    assert.equal(held.tryAcquire(), undefined);
    const waiting = from.recv(WAIT);
    await Promise.all([assertCode("Disconnected", () => waiting), worker.terminate()]);
    const guard = await held.acquire(WAIT);
    assert.ok(guard.ownerDied);
    assert.deepEqual(guard.value, { n: 1 });
    guard.release();
    assert.equal(await locks.request(`${prefix}worker-lock`, WAIT, (lock) => lock.ownerDied), true);
    await assertCode("Disconnected", async () => {
      for (;;) await first.to.send(new Uint8Array(100_000), WAIT);
    });
    first.to.close(), from.close();
  }
  mine.release();
  held.close(), wanted.close();
}
