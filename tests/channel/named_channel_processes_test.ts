import { assert, assertEquals } from "@std/assert";
import { channel, IpcBytesReceiver, IpcBytesSender, IpcReceiver, IpcReceiverSet, IpcSender } from "../../mod.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { folderTest } from "../support/folder.ts";
import {
  asleep,
  holdIdle,
  type Message,
  NAMED,
  numbered,
  receiveNumbers,
  sendComingAndGoing,
  sendNumbers,
  tryToReceive,
} from "../support/named.ts";
import { patience } from "../support/patience.ts";
import type { Child } from "../support/processes.ts";
import { STEPS, type Trapped } from "../support/step_trap.ts";

/** A bound against hanging only. */
const SOON = patience(20_000);

/** All that a process still says until it ends. */
async function rest(child: Child): Promise<Message[]> {
  const words: Message[] = [];
  try {
    for (;;) words.push(await child.said<Message>());
  } catch {
    return words;
  }
}

// --- Any order of start ------------------------------------------------------------------------------------------------

folderTest("Senders that ran before any receiver are heard by one that starts when all of them are gone", async (
  { channel: path },
  { start },
) => {
  for (const from of ["a", "b"]) {
    const sender = await start(NAMED, sendNumbers, { path, from, count: 50, way: "sendSync" });
    assertEquals((await soon(sender.status)).code, 0);
  }
  const receiver = await start(NAMED, receiveNumbers, { path, way: "recvSync", count: 100 });
  assertEquals(await receiver.said(), "ready");
  assertEquals(await soon(rest(receiver)), [...numbered("a", 50), ...numbered("b", 50)]);
});

folderTest("A receiver that starts first hears every sender, those at the same time and those later", async (
  { channel: path },
  { start },
) => {
  const receiver = await start(NAMED, receiveNumbers, { path, way: "recv", count: 200 });
  assertEquals(await receiver.said(), "ready");
  await asleep(path, "receiver");
  const senders = await Promise.all(
    ["a", "b", "c"].map((from) => start(NAMED, sendNumbers, { path, from, count: 50, way: "send" })),
  );
  for (const sender of senders) assertEquals((await soon(sender.status)).code, 0);
  await start(NAMED, sendNumbers, { path, from: "d", count: 50, way: "sendSync" });
  const received = await soon(rest(receiver));
  for (const from of ["a", "b", "c", "d"]) {
    assertEquals(received.filter(([who]) => who === from), numbered(from, 50));
  }
  assertEquals((await receiver.status).code, 0);
});

folderTest("Processes that open a new channel at the same moment open the same one", async (
  { channel: path },
  { start },
) => {
  const rivals = await Promise.all(Array.from({ length: 3 }, () => start(NAMED, tryToReceive, { path })));
  const senders = await Promise.all(
    ["a", "b"].map((from) => start(NAMED, sendNumbers, { path, from, count: 20, way: "sendSync" })),
  );
  const found = await Promise.all(rivals.map((rival) => rival.said()));
  assertEquals(found.toSorted(), ["AlreadyExists", "AlreadyExists", "ready"]);
  for (const sender of senders) assertEquals((await soon(sender.status)).code, 0);
  for (const rival of rivals) await rival.tell();
  for (const rival of rivals) assertEquals((await soon(rival.status)).code, 0);
  using receiver = IpcReceiver.create<Message>(path);
  const received = receiver.recvMany();
  for (const from of ["a", "b"]) assertEquals(received.filter(([who]) => who === from), numbered(from, 20));
});

folderTest("What is sent while no receiver runs is kept, as far as there is room", async ({ channel: path }) => {
  const maker = IpcBytesReceiver.create(path, { capacity: 65_536 });
  using sender = IpcBytesSender.open(path);
  maker.close();
  const message = (n: number) => new Uint8Array(1000).fill(n);
  let kept = 0;
  while (sender.trySend(message(kept))) kept++;
  assertEquals(kept, 64);
  assertIpcErrorSync("Timeout", () => sender.sendSync(message(0), { timeout: 20 }));
  await assertIpcError("Timeout", () => sender.send(message(0), { timeout: 20 }));
  const waiting = sender.send(message(kept)); // until a receiver comes
  using receiver = IpcBytesReceiver.create(path);
  for (let n = 0; n <= kept; n++) assertEquals(await soon(receiver.recv()), message(n));
  await soon(waiting);
});

folderTest(
  "No message is lost where senders and the receiver attach anew all the time, and the files come and go",
  async (
    { channel: path },
    { start },
  ) => {
    const COUNT = 800;
    const senders = await Promise.all(
      ["a", "b"].map((from) => start(NAMED, sendComingAndGoing, { path, from, count: COUNT })),
    );
    let running = senders.length;
    for (const sender of senders) void sender.status.then(() => running--);
    const received: Message[] = [];
    const receiveAll = () => {
      using receiver = IpcReceiver.create<Message>(path, { capacity: 65_536 });
      received.push(...receiver.recvMany());
    };
    while (running > 0) {
      for (let times = 0; times < 20; times++) receiveAll();
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    receiveAll();
    for (const sender of senders) assertEquals((await sender.status).code, 0);
    for (const from of ["a", "b"]) assertEquals(received.filter(([who]) => who === from), numbered(from, COUNT));
  },
);

// --- One receiver ------------------------------------------------------------------------------------------------------

folderTest(
  "A second receiver is refused while the first lives, also stopped, and takes over when it was killed",
  async (
    { channel: path },
    { start },
  ) => {
    using sender = IpcSender.open<Message>(path);
    const first = await start(NAMED, tryToReceive, { path });
    assertEquals(await first.said(), "ready");
    assertIpcErrorSync("AlreadyExists", () => IpcReceiver.create(path));
    first.signal("SIGSTOP");
    await first.stopped();
    assertIpcErrorSync("AlreadyExists", () => IpcReceiver.create(path));
    const second = await start(NAMED, tryToReceive, { path });
    assertEquals(await second.said(), "AlreadyExists");
    sender.sendSync(["here", 0]);
    await first.kill();
    using receiver = IpcReceiver.create<Message>(path);
    assertEquals(receiver.recvSync({ timeout: 0 }), ["here", 0]);
  },
);

for (const way of ["recv", "recvSync"] as const) {
  folderTest(`A receiver killed asleep in ${way}() is replaced, and its successor is woken`, async (
    { channel: path },
    { start },
  ) => {
    using sender = IpcSender.open<Message>(path);
    for (let round = 0; round < 2; round++) {
      const child = await start(NAMED, receiveNumbers, { path, way, count: 1 });
      assertEquals(await child.said(), "ready");
      await asleep(path, "receiver");
      await child.kill();
      // The flag of the dead one still stands: the message is kept all the same.
      sender.sendSync(["early", round]);
      using receiver = IpcReceiver.create<Message>(path);
      assertEquals(await soon(receiver.recv()), ["early", round]);
      const awaited = receiver.recv();
      await asleep(path, "receiver");
      sender.sendSync(["late", round]);
      assertEquals(await soon(awaited), ["late", round]);
    }
  });
}

for (const way of ["recvSync", "borrowSync"] as const) {
  folderTest(`A receiver killed before any step of ${way}() that others see is followed exactly once`, async (
    { channel: path },
    { start },
  ) => {
    using sender = IpcSender.open<Message>(path);
    const skipped = new Set<number>();
    for (let diesAt = 20; diesAt < 28; diesAt++) {
      for (let n = 0; n < 40; n++) sender.sendSync(["here", n]);
      const child = await start(NAMED, receiveNumbers, { path, way, count: 40, diesAt });
      assertEquals(await child.said(), "ready");
      const told = await soon(rest(child));
      assertEquals((await child.status).signal, "SIGKILL");
      assertEquals(told, numbered("here", told.length));
      using receiver = IpcReceiver.create<Message>(path);
      const others = receiver.recvMany();
      // What it had taken out, but not told of yet, went with it.
      const taken = 40 - told.length - others.length;
      assert(taken === 0 || taken === 1, `${taken} messages lost`);
      assertEquals(others, numbered("here", others.length, told.length + taken));
      skipped.add(taken);
    }
    // Between taking out and telling there is such a step, also in borrowSync(), which copies what is so small.
    assertEquals([...skipped].sort(), [0, 1]);
  });
}

folderTest("A receiver killed with a message borrowed is followed by one that gets the next, and all the room", async (
  { channel: path },
  { start },
) => {
  const capacity = 65_536;
  const maker = IpcReceiver.create<Message>(path, { capacity });
  using sender = IpcSender.open<Message>(path);
  maker.close();
  for (const count of [1, 3]) {
    for (let n = 0; n < 5; n++) sender.sendSync(["here", n]);
    const child = await start(NAMED, receiveNumbers, { path, way: "borrow", count, dieBorrowing: true });
    assertEquals(await child.said(), "ready");
    assertEquals(await soon(rest(child)), numbered("here", count));
    assertEquals((await child.status).signal, "SIGKILL");
    using receiver = IpcReceiver.create<Message>(path);
    assertEquals(receiver.recvMany(), numbered("here", 5 - count, count));
    using bytes = IpcBytesSender.open(path);
    assert(bytes.trySend(new Uint8Array(capacity)), "the blocks of the borrowed message are free");
    assertIpcErrorSync("Serialization", () => receiver.recvSync({ timeout: 0 })); // zeros are no single value
  }
});

folderTest("Receivers killed again and again while senders run lose at most what each had in its hands", async (
  { channel: path },
  { start },
) => {
  const COUNT = 1500, KILLS = 4;
  const SHARE = 2 * COUNT / (KILLS + 1); // of a receiver, which may be ahead of its kill: so that the next gets some
  const filler = " ".repeat(200); // so that a share is more than a pipe holds: who tells of it is not done before its kill
  const maker = IpcReceiver.create(path, { capacity: 65_536 });
  using _keeper = IpcSender.open(path);
  maker.close();
  const received: Message[] = [];
  const senders: Child[] = [];
  for (let kill = 0; kill < KILLS; kill++) {
    const way = (["recv", "recvSync", "borrow", "borrowSync"] as const)[kill]!;
    const child = await start(NAMED, receiveNumbers, { path, way, count: SHARE, stays: true });
    assertEquals(await child.said(), "ready");
    if (kill === 0) {
      senders.push(await start(NAMED, sendNumbers, { path, from: "a", count: COUNT, way: "sendSync", filler }));
      senders.push(await start(NAMED, sendNumbers, { path, from: "b", count: COUNT, way: "send", filler }));
    }
    for (let i = 0; i < 100 + 37 * kill; i++) received.push(await soon(child.said<Message>()));
    child.signal("SIGKILL");
    received.push(...await soon(rest(child)));
  }
  using receiver = IpcReceiver.create<Message>(path);
  let running = senders.length;
  for (const sender of senders) void sender.status.then(() => running--);
  while (running > 0) {
    received.push(...receiver.recvMany());
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  received.push(...receiver.recvMany());
  for (const sender of senders) assertEquals((await sender.status).code, 0);
  let lost = 0;
  for (const from of ["a", "b"]) {
    const numbers = received.filter(([who]) => who === from).map(([, n]) => n);
    assert(numbers.every((n, i) => i === 0 || n > numbers[i - 1]!), `${from}: in order, none twice`);
    lost += COUNT - numbers.length;
  }
  assert(lost <= KILLS, `${lost} messages lost by ${KILLS} kills`);
});

// --- Senders that die --------------------------------------------------------------------------------------------------

for (const step of STEPS.filter((step) => step !== "descriptors-sent")) {
  for (const when of ["while a receiver sleeps", "while no receiver runs"]) {
    folderTest(`A sender killed at "${step}" ${when} costs its unfinished message only`, async (
      { channel: path },
      { start },
    ) => {
      using sender = IpcSender.open<Message>(path);
      const early = when === "while a receiver sleeps" ? IpcReceiver.create<Message>(path) : undefined;
      const asleepUntil = early?.recv();
      // "ringing" is reached only while somebody sleeps: without one, the process sends all it has.
      const trap = { step, occurrence: step === "ringing" ? 1 : 3, signal: "SIGKILL" } as const;
      const child = await start(NAMED, sendNumbers, { path, from: "killed", count: 5, way: "sendSync", trap });
      const said = await child.said<Trapped | "sent">();
      await child.status;
      const committed = said === "sent" ? 5 : said.committed;
      assertEquals(said === "sent", step === "ringing" && early === undefined);
      sender.sendSync(["alive", 0]);
      const receiver = early ?? IpcReceiver.create<Message>(path);
      const received = asleepUntil === undefined ? [] : [await soon(asleepUntil)];
      while (received.at(-1)?.[0] !== "alive") received.push(await soon(receiver.recv()));
      assertEquals(received, [...numbered("killed", committed), ["alive", 0]]);
      assertEquals(receiver.tryRecv(), { state: "empty" });
      receiver.close();
    });
  }
}

folderTest("A sender that is stopped after its claim is waited for, and its message comes in its turn", async (
  { channel: path },
  { start },
) => {
  using sender = IpcSender.open<Message>(path);
  using receiver = IpcReceiver.create<Message>(path);
  const trap = { step: "claimed", occurrence: 2, signal: "SIGSTOP" } as const;
  const child = await start(NAMED, sendNumbers, { path, from: "stopped", count: 3, way: "sendSync", trap });
  await child.said();
  await child.stopped();
  sender.sendSync(["alive", 0]);
  assertEquals(await soon(receiver.recv()), ["stopped", 0]);
  const next = receiver.recv();
  assertIpcErrorSync("Timeout", () => receiver.recvSync({ timeout: 100 })); // longer than any look at a gap takes
  child.signal("SIGCONT");
  assertEquals(await soon(next), ["stopped", 1]);
  assertEquals([await soon(receiver.recv()), await soon(receiver.recv())], [["alive", 0], ["stopped", 2]]);
  assertEquals((await soon(child.status)).code, 0);
});

folderTest("A sender that needs the whole ring gets it, though another died as it stepped over the ring's end", async (
  { channel: path },
  { start },
) => {
  const capacity = 1 << 20;
  using receiver = IpcBytesReceiver.create(path, { capacity });
  using sender = IpcBytesSender.open(path);
  sender.sendSync(new Uint8Array(capacity / 2));
  sender.sendSync(new Uint8Array(1));
  assertEquals(receiver.recvSync({ timeout: 0 }).length, capacity / 2);
  const borrowed = receiver.borrowSync({ timeout: 0 }); // or the receiver itself would go back before it sleeps
  const asleepUntil = receiver.recv();
  asleepUntil.catch(() => {}); // if the test fails
  await asleep(path, "receiver");
  const trap = { step: "recorded", occurrence: 1, signal: "SIGKILL" } as const;
  const child = await start(NAMED, sendNumbers, { path, from: "killed", count: 1, way: "sendSync", trap });
  assertEquals((await soon(child.status)).signal, "SIGKILL");
  borrowed.release();
  assert(!sender.trySend(new Uint8Array(capacity)), "what it stepped over is still to be released");
  const sending = sender.send(new Uint8Array(capacity));
  assertEquals((await soon(asleepUntil)).length, capacity);
  await soon(sending);
});

// --- Beside others -----------------------------------------------------------------------------------------------------

folderTest("A process with idle ends of a named channel exits by itself, and its successor goes on", async (
  { channel: path },
  { start },
) => {
  const child = await start(NAMED, holdIdle, { path });
  assertEquals(await child.said(), ["idle", 0]);
  assertEquals((await soon(child.status)).code, 0);
  using receiver = IpcReceiver.create<Message>(path);
  assertEquals(receiver.recvMany(), [["idle", 1]]);
});

folderTest("A receiver set waits for named channels among others", async ({ path }, { start }) => {
  const paths = ["a", "b"].map((name) => `${path}/${name}`);
  using set = new IpcReceiverSet();
  const ids = paths.map((path) => set.add(IpcReceiver.create<Message>(path)));
  const [sender, receiver] = channel<Message>();
  ids.push(set.add(receiver));
  for (const [i, from] of ["a", "b"].entries()) {
    const selected = set.select({ timeout: SOON });
    await asleep(paths[i]!, "receiver");
    const child = await start(NAMED, sendNumbers, { path: paths[i]!, from, count: 1, way: "send" });
    assertEquals(await selected, [{ id: ids[i]!, type: "message", value: [from, 0] }]);
    assertEquals((await child.status).code, 0);
  }
  sender.sendSync(["c", 0]);
  assertEquals(set.selectSync({ timeout: SOON }), [{ id: ids[2]!, type: "message", value: ["c", 0] }]);
  sender.close();
  assertEquals(set.selectSync({ timeout: SOON }), [{ id: ids[2]!, type: "closed" }]);
});
