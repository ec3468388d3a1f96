// Who is killed in another PID namespace, where its number means nothing, costs its unfinished message and nothing else;
// who is only stopped there is waited for.
import { assert, assertEquals } from "@std/assert";
import { bytesChannel, channel, type IpcBytesReceiver, IpcBytesSender, IpcReceiver, IpcSender } from "../../mod.ts";
import type { Self } from "../support/actor.ts";
import { beforeAtomic, WRITES } from "../support/atomics.ts";
import { assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { containerTest } from "../support/containers.ts";
import { type Message, NAMED, numbered, receiveNumbers, sendNumbers, tryToReceive } from "../support/named.ts";
import { patience } from "../support/patience.ts";
import { type Child, CONTAINER, stateOf } from "../support/processes.ts";
import { bystander, type Numbered, RECEIVE, receiveFrom, SENDERS, victim } from "../support/senders.ts";
import { Threads } from "../support/threads.ts";
import { setTrap, type Trap, type Trapped } from "../support/step_trap.ts";

/** A bound against hanging only. */
const SOON = patience(20_000);

const killed = (step: Trap["step"], occurrence = 3): Trap => ({ step, occurrence, signal: "SIGKILL" });
const stopped = (step: Trap["step"], occurrence = 3): Trap => ({ step, occurrence, signal: "SIGSTOP" });

/** Waits until what runs in a container is stopped; returns its number here. */
async function stoppedInside(child: Child): Promise<number> {
  const pid = child.innermost();
  while (stateOf(pid) !== "T") await new Promise((resolve) => setTimeout(resolve, 1));
  return pid;
}

// --- Channels without a name -------------------------------------------------------------------------------------------

for (const [way, receive] of Object.entries(RECEIVE)) {
  for (
    const { step, extra } of [
      { step: "claimed", extra: "nothing" },
      { step: "copied", extra: "nothing" },
      { step: "descriptors-sent", extra: "endpoint" },
      { step: "descriptors-sent", extra: "more than the ring holds" },
    ] as const
  ) {
    const what = extra === "nothing" ? "" : `, messages with ${extra}`;
    containerTest(`${way} goes on with all others when a sender was killed in a container at "${step}"${what}`, async (
      { path: folder },
      { start, startContained },
    ) => {
      const [sender, receiver] = channel<Numbered>({ capacity: 65_536 });
      const near = await start(SENDERS, bystander, { sender });
      const far = await startContained(SENDERS, bystander, { sender }, folder);
      const child = await startContained(SENDERS, victim, { sender, trap: killed(step), extra, count: 9 }, folder);
      assertEquals((await child.said<Trapped>()).committed, 2);
      await child.status;
      for (const other of [near, far]) {
        await other.tell(10);
        await other.said();
      }
      const received = [];
      for (let n = 0; n < 22; n++) received.push(await receiveFrom(receive, receiver, SOON));
      assertEquals(received, [...numbered("victim", 2), ...numbered("bystander", 10), ...numbered("bystander", 10)]);
      assertEquals(receiver.tryRecv(), { state: "empty" });
      for (const other of [near, far]) {
        await other.tell(0);
        await other.status;
      }
      sender.close();
      assertEquals(receiver.tryRecv(), { state: "disconnected" });
      receiver.close();
    });
  }
}

containerTest("A sender that is stopped in a container after its claim is waited for, and killed then is not", async (
  { path: folder },
  { startContained },
) => {
  const [sender, receiver] = channel<Numbered>();
  const job = { sender, trap: stopped("claimed"), extra: "nothing", count: 4 } as const;
  const child = await startContained(SENDERS, victim, job, folder);
  await child.said<Trapped>();
  const pid = await stoppedInside(child);
  sender.sendSync(["ours", 0]);
  for (let n = 0; n < 2; n++) assertEquals(receiver.recvSync({ timeout: 0 }), ["victim", n, null]);
  assertIpcErrorSync("Timeout", () => receiver.recvSync({ timeout: 200 })); // longer than any look at a gap takes
  Deno.kill(pid, "SIGCONT");
  assertEquals(await receiver.recv({ timeout: SOON }), ["victim", 2, null]);
  assertEquals(await receiver.recv({ timeout: SOON }), ["ours", 0]);
  assertEquals(await receiver.recv({ timeout: SOON }), ["victim", 3, null]);
  assertEquals(await child.said(), "survived");

  const another = await startContained(SENDERS, victim, job, folder);
  await another.said<Trapped>();
  await stoppedInside(another);
  sender.sendSync(["ours", 1]);
  for (let n = 0; n < 2; n++) assertEquals(receiver.recvSync({ timeout: 0 }), ["victim", n, null]);
  assertIpcErrorSync("Timeout", () => receiver.recvSync({ timeout: 200 }));
  await another.kill();
  assertEquals(await receiver.recv({ timeout: SOON }), ["ours", 1]);
  sender.close(), receiver.close();
});

/** Says what it receives. */
export async function sayAll({ receiver }: { receiver: IpcReceiver<Numbered> }, self: Self): Promise<void> {
  for await (const [from, n] of receiver) self.say([from, n]);
  self.say("the end");
}

containerTest("A receiver in a container goes on when a sender was killed where the channel was made", async (
  { path: folder },
  { start, startContained },
) => {
  const [sender, receiver] = channel<Numbered>();
  // Before there is any reason to hold a lock: it takes one in a later turn.
  const other = await start(SENDERS, bystander, { sender });
  await other.tell(1);
  await other.said();
  const child = await start(import.meta.url, victimInTurns, { sender, trap: killed("claimed") });
  assertEquals(await child.said(), "first");
  const listening = await startContained(import.meta.url, sayAll, { receiver }, folder);
  assertEquals([await listening.said(), await listening.said()], [["bystander", 0], ["turns", 0]]);
  await child.tell();
  await child.said<Trapped>();
  await child.status;
  await other.tell(2);
  await other.said();
  assertEquals(await listening.said(), ["turns", 1]);
  assertEquals([await listening.said(), await listening.said()], [["bystander", 1], ["bystander", 2]]);
  await other.tell(0);
  await other.status;
  sender.close();
  assertEquals(await listening.said(), "the end");
});

/** Is killed with a loan out that was made before anybody was in a container. */
export function lendEarly({ sender }: { sender: IpcBytesSender }, self: Self): void {
  const loan = sender.reserveSync(10);
  self.say("lent");
  self.hear();
  loan.bytes[0] = 1;
  Deno.kill(Deno.pid, "SIGKILL");
}

/** Says the first byte of what it receives. */
export async function sayBytes({ receiver }: { receiver: IpcBytesReceiver }, self: Self): Promise<void> {
  for await (const [byte] of receiver) self.say(byte);
}

containerTest(
  "A receiver that went to a container is not held up by a loan that was made before, and its killed owner",
  async (
    { path: folder },
    { start, startContained },
  ) => {
    const [sender, receiver] = bytesChannel();
    const child = await start(import.meta.url, lendEarly, { sender });
    assertEquals(await child.said(), "lent");
    sender.sendSync(Uint8Array.of(1));
    const listening = await startContained(import.meta.url, sayBytes, { receiver }, folder);
    await child.tell();
    await child.status;
    assertEquals(await soon(listening.said()), 1);
    sender.sendSync(Uint8Array.of(2));
    assertEquals(await soon(listening.said()), 2);
    sender.close();
  },
);

/** Sends a message a turn, the second one when it is told to. */
export async function victimInTurns({ sender, trap }: { sender: IpcSender<Numbered>; trap: Trap }, self: Self) {
  setTrap(trap);
  await sender.send(["turns", 0]);
  self.say("first");
  self.hear();
  for (let n = 1; n < 5; n++) await sender.send(["turns", n]);
}

/** Passes a sender on, lets go of its own, and waits. */
export function passOn(
  { sender, carrier }: { sender: IpcSender<Numbered>; carrier: IpcSender<IpcSender<Numbered>> },
  self: Self,
): void {
  sender.sendSync(["passed on", 0]);
  carrier.sendSync(sender);
  sender.close();
  carrier.close();
  self.say("let go");
  self.hear();
}

/** Sends by a sender that comes in a message, and by a clone of it once the first is closed. */
export function takeOver({ passed, trap }: { passed: IpcReceiver<IpcSender<Numbered>>; trap: Trap }, self: Self): void {
  const first = passed.recvSync();
  first.sendSync(["taken over", 0]);
  const clone = first.clone();
  first.close();
  setTrap(trap);
  for (let n = 1; n < 3; n++) clone.sendSync(["taken over", n]);
  self.say("survived");
}

for (const trap of [killed("claimed", 1), stopped("claimed", 1)]) {
  const fate = trap.signal === "SIGKILL" ? "killed: the others go on" : "stopped: it is waited for";
  containerTest(`A sender passed from one container to another, cloned and closed there, is ${fate}`, async (
    { path: folder },
    { startContained },
  ) => {
    const [sender, receiver] = channel<Numbered>();
    const [carrier, passed] = channel<IpcSender<Numbered>>();
    const owner = await startContained(import.meta.url, takeOver, { passed, trap }, folder);
    const first = await startContained(import.meta.url, passOn, { sender, carrier }, folder);
    carrier.close();
    assertEquals(await first.said(), "let go");
    await owner.said<Trapped>();
    if (trap.signal === "SIGKILL") await owner.status;
    const pid = trap.signal === "SIGSTOP" ? await stoppedInside(owner) : 0;
    sender.sendSync(["ours", 0]);
    assertEquals(await receiver.recv(), ["passed on", 0]);
    assertEquals(await receiver.recv(), ["taken over", 0]);
    if (trap.signal === "SIGSTOP") {
      assertIpcErrorSync("Timeout", () => receiver.recvSync({ timeout: 200 }));
      Deno.kill(pid, "SIGCONT");
      assertEquals(await receiver.recv({ timeout: SOON }), ["taken over", 1]);
    }
    assertEquals(await receiver.recv({ timeout: SOON }), ["ours", 0]);
    sender.close(), receiver.close();
  });
}

/** Dies with a loan out, after it has sent something by another claim. */
export function borrower({ sender, path }: { sender?: IpcBytesSender; path?: string }, self: Self): void {
  const out = sender ?? IpcBytesSender.open(path!);
  const loan = out.reserveSync(100);
  loan.bytes.fill(7);
  out.sendSync(Uint8Array.of(1));
  self.say("lent");
  self.hear();
  Deno.kill(Deno.pid, "SIGKILL");
}

containerTest("A sender killed in a container with a loan out costs the loan, not what it sent after it", async (
  { path: folder, channel: path },
  { startContained },
) => {
  const [sender, receiver] = bytesChannel();
  const child = await startContained(import.meta.url, borrower, { sender }, folder);
  assertEquals(await child.said(), "lent");
  assertIpcErrorSync("Timeout", () => receiver.recvSync({ timeout: 200 }));
  await child.tell();
  await child.status;
  sender.sendSync(Uint8Array.of(2));
  assertEquals(await receiver.recv({ timeout: SOON }), Uint8Array.of(1));
  assertEquals(await receiver.recv({ timeout: SOON }), Uint8Array.of(2));
  sender.close(), receiver.close();

  using named = IpcReceiver.create<number>(path);
  const another = await startContained(import.meta.url, borrower, { path }, folder);
  assertEquals(await another.said(), "lent");
  assertIpcErrorSync("Timeout", () => named.recvSync({ timeout: 200 }));
  await another.tell();
  await another.status;
  assertEquals(await named.recv({ timeout: SOON }), 1);
});

/** Holds a loan in a Worker, which is terminated when the test says so; goes on living. */
export async function losesWorker({ sender }: { sender: IpcBytesSender }, self: Self): Promise<void> {
  const [out, told] = channel<string>();
  await using threads = new Threads();
  await threads.start(import.meta.url, lender, { sender, out });
  out.close();
  assertEquals(await told.recv({ timeout: SOON }), "lent");
  self.say("lent");
  self.hear();
  await threads.end();
  self.say("ended");
  self.hear();
}

/** Stays with a loan out. */
export function lender({ sender, out }: { sender: IpcBytesSender; out: IpcSender<string> }): void {
  const loan = sender.reserveSync(100);
  out.sendSync("lent");
  setTimeout(() => loan.commit(), 600_000);
}

containerTest(
  "A Worker that is terminated in a container with a loan out costs the loan, though its process lives",
  async (
    { path: folder },
    { startContained },
  ) => {
    const [sender, receiver] = bytesChannel();
    const child = await startContained(import.meta.url, losesWorker, { sender }, folder);
    assertEquals(await child.said(), "lent");
    sender.sendSync(Uint8Array.of(1));
    assertIpcErrorSync("Timeout", () => receiver.recvSync({ timeout: 200 }));
    await child.tell();
    assertEquals(await child.said(), "ended");
    assertEquals(await receiver.recv({ timeout: SOON }), Uint8Array.of(1));
    sender.close(), receiver.close();
  },
);

// --- Named channels ------------------------------------------------------------------------------------------------------

for (
  const { where, namespaces } of [
    { where: "a container", namespaces: CONTAINER },
    {
      where: "a container that sees the processes of another in /proc",
      namespaces: CONTAINER.filter((namespace) => namespace !== "--mount-proc"),
    },
    // Its processes are seen here, but the start times that they have here and there differ.
    { where: "a time namespace", namespaces: ["--time", "--boottime", "100000", "--fork"] },
  ]
) {
  for (const step of ["claimed", "copied"] as const) {
    containerTest(`A named channel goes on when a sender was killed at "${step}" in ${where}`, async (
      { path: folder, channel: path },
      { startContained },
    ) => {
      using sender = IpcSender.open<Message>(path);
      using receiver = IpcReceiver.create<Message>(path);
      const job = { path, from: "killed", count: 5, way: "sendSync", trap: killed(step) } as const;
      const child = await startContained(NAMED, sendNumbers, job, folder, namespaces);
      assertEquals((await child.said<Trapped>()).committed, 2);
      await child.status;
      const far = { path, from: "far", count: 3, way: "sendSync" } as const;
      const other = await startContained(NAMED, sendNumbers, far, folder, namespaces);
      assertEquals(await other.said(), "sent");
      sender.sendSync(["ours", 0]);
      for (const message of [...numbered("killed", 2), ...numbered("far", 3), ["ours", 0]]) {
        assertEquals(await receiver.recv({ timeout: SOON }), message);
      }
      assertEquals(receiver.tryRecv(), { state: "empty" });
    }, namespaces);
  }

  containerTest(`A named channel waits for a sender that is stopped after its claim in ${where}`, async (
    { path: folder, channel: path },
    { startContained },
  ) => {
    using sender = IpcSender.open<Message>(path);
    using receiver = IpcReceiver.create<Message>(path);
    const job = { path, from: "stopped", count: 3, way: "sendSync", trap: stopped("claimed") } as const;
    const child = await startContained(NAMED, sendNumbers, job, folder, namespaces);
    await child.said<Trapped>();
    const pid = await stoppedInside(child);
    sender.sendSync(["ours", 0]);
    for (const message of numbered("stopped", 2)) assertEquals(receiver.recvSync({ timeout: 0 }), message);
    assertIpcErrorSync("Timeout", () => receiver.recvSync({ timeout: 200 }));
    Deno.kill(pid, "SIGCONT");
    assertEquals(await receiver.recv({ timeout: SOON }), ["stopped", 2]);
    assertEquals(await receiver.recv({ timeout: SOON }), ["ours", 0]);
    assertEquals(await child.said(), "sent");
  }, namespaces);

  containerTest(
    `A receiver of a named channel in ${where} is replaced when it was killed, not when it is stopped`,
    async (
      { path: folder, channel: path },
      { startContained },
    ) => {
      using sender = IpcSender.open<Message>(path);
      const first = await startContained(NAMED, tryToReceive, { path }, folder, namespaces);
      assertEquals(await first.said(), "ready");
      assertIpcErrorSync("AlreadyExists", () => IpcReceiver.create(path));
      Deno.kill(first.innermost(), "SIGSTOP");
      await stoppedInside(first);
      assertIpcErrorSync("AlreadyExists", () => IpcReceiver.create(path));
      sender.sendSync(["ours", 0]);
      Deno.kill(first.innermost(), "SIGKILL"); // when the container has ended, so has this
      await first.status;
      const job = { path, way: "recvSync", count: 1 } as const;
      const second = await startContained(NAMED, receiveNumbers, job, folder, namespaces);
      assertEquals(await soon(second.said()), "ready");
      assertEquals(await soon(second.said()), ["ours", 0]);
      await second.status;
      using receiver = IpcReceiver.create<Message>(path);
      assertEquals(receiver.tryRecv(), { state: "empty" });
    },
    namespaces,
  );
}

containerTest("A receiver in a container goes on when a sender was killed where the named channel was made", async (
  { path: folder, channel: path },
  { start, startContained },
) => {
  using sender = IpcSender.open<Message>(path);
  const listening = await startContained(NAMED, receiveNumbers, { path, way: "recv", count: 3 }, folder);
  assertEquals(await listening.said(), "ready");
  const job = { path, from: "killed", count: 5, way: "sendSync", trap: killed("claimed") } as const;
  const child = await start(NAMED, sendNumbers, job);
  await child.said<Trapped>();
  await child.status;
  sender.sendSync(["ours", 0]);
  for (const message of [...numbered("killed", 2), ["ours", 0]]) assertEquals(await soon(listening.said()), message);
});

/** Opens, sends and closes, and is killed before an atomic write of that; says so if it is not. */
export function dieAnywhere({ path, nth }: { path: string; nth: number }, self: Self): void {
  beforeAtomic(nth, () => Deno.kill(Deno.pid, "SIGKILL"), WRITES);
  const sender = IpcSender.open<Message>(path);
  sender.sendSync(["killed", nth]);
  sender.close();
  self.say("survived");
}

containerTest("A sender killed in a container at any moment from opening to closing holds up nobody", async (
  { path: folder, channel: path },
  { startContained },
) => {
  using sender = IpcSender.open<Message>(path);
  using receiver = IpcReceiver.create<Message>(path);
  let arrived = 0, deaths = 0;
  for (let nth = 1;; nth++) {
    const child = await startContained(import.meta.url, dieAnywhere, { path, nth }, folder);
    const survived = await child.said().then(() => true, () => false);
    await child.status;
    sender.sendSync(["ours", nth]);
    let message = await receiver.recv({ timeout: SOON });
    if (message[0] === "killed") {
      assertEquals(message, ["killed", nth]);
      arrived++;
      message = await receiver.recv({ timeout: SOON });
    }
    assertEquals(message, ["ours", nth]);
    assertEquals(receiver.tryRecv(), { state: "empty" });
    if (survived) break;
    deaths++;
  }
  assert(arrived > 2 && deaths - arrived > 2, `${deaths} deaths, of which ${arrived} after the commit`);
});
