import { assert, assertEquals } from "@std/assert";
import { bytesChannel, IpcBytesReceiver, IpcBytesSender } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { soon } from "../support/assert_ipc.ts";
import { type Folder, folderTest } from "../support/folder.ts";
import { asleep } from "../support/named.ts";
import { patience } from "../support/patience.ts";
import { processTest } from "../support/test.ts";

const CAPACITY = 65_536;

interface BorrowerJob {
  /** A channel, or the path of one. */
  readonly to: IpcBytesSender | string;
  readonly mark: number;
  readonly loans: number;
  readonly length: number;
}

/** Reserves, then does as it is told: "commit", "give up" or "die", the n-th loan. */
export function lender({ to, mark, loans, length }: BorrowerJob, self: Self): void {
  const sender = typeof to === "string" ? IpcBytesSender.open(to) : to;
  const out = Array.from({ length: loans }, () => sender.reserveSync(length, { timeout: patience(20_000) }));
  self.say("reserved");
  for (;;) {
    const [what, n] = self.hear<[what: string, n: number]>();
    if (what === "die") Deno.kill(Deno.pid, "SIGKILL");
    if (what === "end") break;
    const loan = out[n]!;
    loan.bytes.fill(mark + n);
    if (what === "commit") loan.commit();
    else loan[Symbol.dispose]();
    self.say(what);
  }
  sender.close();
}

processTest("Loans of several processes arrive in the order of their reservation", async ({ start }) => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const a = await start(import.meta.url, lender, { to: sender, mark: 10, loans: 2, length: 1000 });
  await a.said();
  const b = await start(import.meta.url, lender, { to: sender, mark: 20, loans: 2, length: 500 });
  await b.said();
  sender.sendSync(new Uint8Array([30]));
  const first = receiver.recv();
  await b.tell(["commit", 1]), await b.said();
  await b.tell(["commit", 0]), await b.said();
  await a.tell(["commit", 1]), await a.said();
  assertEquals(receiver.recvMany(), []);
  await a.tell(["commit", 0]), await a.said();
  const received = [await soon(first), ...receiver.recvMany()];
  assertEquals(received.map((bytes) => [bytes.length, bytes[0]]), [[1000, 10], [1000, 11], [500, 20], [500, 21], [
    1,
    30,
  ]]);
  for (const child of [a, b]) await child.tell(["end", 0]), assertEquals((await child.status).code, 0);
  sender.close(), receiver.close();
});

for (const way of ["recv()", "recvSync()"]) {
  processTest(`A process killed with loans out holds nobody up: ${way} goes on with the others`, async ({ start }) => {
    const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
    const killed = await start(import.meta.url, lender, { to: sender, mark: 10, loans: 3, length: 1000 });
    await killed.said();
    const lives = await start(import.meta.url, lender, { to: sender, mark: 20, loans: 1, length: 1000 });
    await lives.said();
    sender.sendSync(new Uint8Array([30]));
    await killed.tell(["commit", 1]), await killed.said();
    const first = way === "recv()" ? receiver.recv() : undefined;
    first?.catch(() => {});
    await killed.tell(["die", 0]);
    assertEquals((await killed.status).signal, "SIGKILL");
    const next = async () =>
      way === "recv()" ? await soon(receiver.recv()) : receiver.recvSync({ timeout: patience(10_000) });
    assertEquals((await (first === undefined ? next() : soon(first)))[0], 11);
    assertEquals(receiver.recvMany(), [], "the loan of the one that lives is waited for");
    await lives.tell(["commit", 0]), await lives.said();
    assertEquals([(await next())[0], (await next())[0]], [20, 30]);
    assert(sender.trySend(new Uint8Array(CAPACITY)), "all the room is there again");
    await lives.tell(["end", 0]);
    assertEquals((await lives.status).code, 0);
    sender.close(), receiver.close();
  });
}

processTest("A process killed with all the room on loan gives way to a sender that waits", async ({ start }) => {
  const [sender, receiver] = bytesChannel({ capacity: CAPACITY });
  const killed = await start(import.meta.url, lender, { to: sender, mark: 0, loans: 1, length: CAPACITY });
  await killed.said();
  assert(!sender.trySend(new Uint8Array(1)));
  const received = receiver.recv();
  const sending = sender.send(new Uint8Array([5]));
  await killed.tell(["die", 0]);
  await killed.status;
  await soon(sending);
  assertEquals(await soon(received), new Uint8Array([5]));
  sender.close(), receiver.close();
});

folderTest("Loans on a named channel end like any other, also by the death of their process", async (
  { channel: path }: Folder,
  { start },
) => {
  const maker = IpcBytesReceiver.create(path, { capacity: CAPACITY });
  using sender = IpcBytesSender.open(path);
  maker.close();
  const killed = await start(import.meta.url, lender, { to: path, mark: 10, loans: 2, length: 1000 });
  await killed.said();
  await killed.tell(["commit", 1]), await killed.said();
  sender.sendSync(new Uint8Array([30]));
  {
    using receiver = IpcBytesReceiver.create(path);
    assertEquals(receiver.recvMany(), []);
  }
  await killed.tell(["die", 0]);
  await killed.status;
  using receiver = IpcBytesReceiver.create(path);
  assertEquals([(await soon(receiver.recv()))[0], (await soon(receiver.recv()))[0]], [11, 30]);
  const waiting = receiver.recv();
  await asleep(path, "receiver");
  using loan = sender.reserveSync(CAPACITY, { timeout: patience(10_000) });
  loan.bytes.fill(40);
  loan.commit();
  assertEquals((await soon(waiting)).length, CAPACITY);
});
