// Runs in a process that may not have much of something: descriptors in flight, address space, or large files. Says
// "done" if everything was as it should be.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  bytesChannel,
  channel,
  type ChannelOptions,
  duplex,
  type IpcError,
  type IpcFd,
  IpcOneShotServer,
  type IpcReceiver,
  IpcSender,
  IpcServer,
  IpcSharedMemory,
} from "../../mod.ts";
import { createDoorbell } from "../../ffi/event/doorbell.ts";
import { libc } from "../../ffi/libc/libc.ts";
import { EFBIG, ENOMEM, ETOOMANYREFS, platform } from "../../ffi/libc/platform.ts";
import { assertIpcError } from "./assert_ipc.ts";
import { descriptorsOf, openSignalSockets } from "./leftovers.ts";
import { patience } from "./patience.ts";
import { passed, sentAway } from "./sent_away.ts";

const MB = 1 << 20;

/** Where the descriptors of this package's kinds lead, in a form that can be compared. */
function open(): string[] {
  return descriptorsOf("self").filter((link) => /^(pipe:|socket:|\/memfd:)/.test(link)).sort();
}

/** Memory files that are mapped. */
function mapped(): number {
  return Deno.readTextFileSync("/proc/self/maps").split("\n").filter((line) => line.includes("/memfd:isthmus")).length;
}

/** A channel that has its ring. */
function inUse<T>(options?: ChannelOptions): [IpcSender<T>, IpcReceiver<T>] {
  const ends = channel<T>(options);
  ends[1].tryRecv();
  return ends;
}

/** A sender that is sent away for the first time opens something that it keeps. */
function warmUp(sender: IpcSender<number>): void {
  const [carrier, arrivals] = channel<[IpcSender<number>]>();
  carrier.sendSync([sender]);
  arrivals.recvSync()[0].close();
  carrier.close(), arrivals.close();
}

/** Asserts that something fails for want of what this process has not got, and leaves nothing behind. */
async function fails(errno: number, says: string, act: () => unknown): Promise<IpcError> {
  const ends = open().length, maps = mapped();
  const error = await assertIpcError("System", act);
  assertEquals(error.errno, errno, error.message);
  assertStringIncludes(error.message, says);
  assertEquals(open().length, ends, `left behind by: ${error.message}`);
  assertEquals(mapped(), maps, `mapped by: ${error.message}`);
  return error;
}

/**
 * A new channel takes its memory when it is used in earnest, whichever use that is; one that fails leaves both ends as they
 * were, with what was kept until then.
 */
async function firstUsesFail(errno: number, says: string, capacity: number): Promise<void> {
  const [sender, receiver] = channel<unknown>({ capacity });
  const [bytesSender, bytesReceiver] = bytesChannel({ capacity });
  const [left, right] = duplex<unknown, unknown>({ capacity });
  const large = new Uint8Array(2000); // small ones are kept without a ring
  const uses: (() => unknown)[] = [
    () => sender.sendSync(large),
    () => sender.send(large),
    () => receiver.recvSync({ timeout: 0 }),
    () => receiver.recv(),
    () => bytesSender.trySend(large),
    () => bytesReceiver.tryRecv(),
    () => left.sendSync(large),
    () => right.recvSync({ timeout: 0 }),
  ];
  for (const use of uses) await fails(errno, says, use);
  sender.sendSync("kept"), bytesSender.sendSync(new Uint8Array([1])), left.sendSync("kept");
  const later: (() => unknown)[] = [
    () => sender.sendSync(large),
    () => receiver.recvMany(),
    () => bytesSender.reserveSync(10),
    () => bytesReceiver.borrowSync(),
    () => left.sendSync(large),
    () => right.recv({ timeout: 0 }),
  ];
  for (const use of later) await fails(errno, says, use);
  assertEquals(receiver.recvSync(), "kept");
  assertEquals(bytesReceiver.recvSync(), new Uint8Array([1]));
  assertEquals(right.recvSync(), "kept");
  for (const end of [sender, receiver, bytesSender, bytesReceiver, left, right]) {
    assert(!end.closed);
    end.close();
  }
}

/** Sets a limit of this process while `act` runs. */
async function limited(limit: string, soft: number, act: () => unknown): Promise<void> {
  const set = (value: string) => {
    const { success, stderr } = new Deno.Command("prlimit", { args: ["--pid", `${Deno.pid}`, `--${limit}=${value}`] })
      .outputSync();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
  };
  set(`${soft}:`);
  try {
    await act();
  } finally {
    set("unlimited:");
  }
}

/**
 * Linux counts the descriptors in flight by the real user: of root's, others may have many. Only now, as Deno finds
 * nothing of its own under another real user.
 */
function becomeSomebody(): void {
  // int setresuid(uid_t ruid, uid_t euid, uid_t suid)
  const library = Deno.dlopen(platform().libc, {
    setresuid: { parameters: ["u32", "u32", "u32"], result: "i32" },
  });
  const id = 100_000 + Deno.pid;
  // In a user namespace there may be no other user: then the count is shared, as it is for all but root.
  const exists = Deno.readTextFileSync("/proc/self/uid_map").trim().split("\n").some((line) => {
    const [first, , count] = line.trim().split(/\s+/).map(Number) as [number, number, number];
    return id >= first && id < first + count;
  });
  if (libc().c.geteuid() === 0 && exists) assertEquals(library.symbols.setresuid(id, 0, 0), 0);
  library.close();
}

/**
 * Channels without a ring while there are too many descriptors in flight: each loses nothing.
 *
 * @returns What each of them does when some were taken.
 */
async function ringlessInFlight(says: string, channels: SentAway[]): Promise<() => Promise<void>> {
  const [posts, grows, receives, here, waits] = channels as [SentAway, SentAway, SentAway, SentAway, SentAway];
  for (const { there } of channels) there.sendSync(0);
  assertEquals(posts.receiver.recvSync({ timeout: 0 }), 0);
  for (let times = 0; times < 2; times++) {
    await fails(ETOOMANYREFS, says, () => grows.there.sendSync(1));
    await fails(ETOOMANYREFS, says, () => grows.there.clone());
    await fails(ETOOMANYREFS, says, () => grows.there.send(1));
  }
  assertEquals(waits.receiver.recvSync({ timeout: 0 }), 0);
  await fails(ETOOMANYREFS, says, () => waits.receiver.recv());
  await fails(ETOOMANYREFS, says, () => waits.receiver.recv());
  // The ring that is made here stays until it can be given: it is no leftover.
  for (
    const [act, { there }] of [[() => receives.receiver.capacity, receives], [
      () => here.here.sendSync(1),
      here,
    ]] as const
  ) {
    for (let times = 0; times < 2; times++) {
      assertStringIncludes((await assertIpcError("System", act)).message, says);
      assertStringIncludes((await assertIpcError("System", () => there.sendSync(2))).message, "try again");
    }
  }
  return async () => {
    grows.there.sendSync(1);
    receives.receiver.capacity, receives.there.sendSync(1);
    here.here.sendSync(1);
    for (const { there } of [grows, receives, here]) there.sendSync(2);
    for (const { receiver } of [grows, receives, here]) assertEquals(receiver.recvMany(), [0, 1, 2]);
    const waiting = waits.receiver.recv({ timeout: patience(20_000) });
    waits.there.sendSync(1);
    assertEquals(await waiting, 1);
    for (const one of channels) one[Symbol.dispose]();
  };
}

type SentAway = ReturnType<typeof sentAway<number>>;

/** A channel without a ring for which there is no memory now, with a posted message, and one whose ring was not received yet. */
async function ringlessFails(errno: number, says: string, posted: SentAway, grown?: SentAway): Promise<void> {
  posted.there.sendSync(0);
  for (let times = 0; times < 2; times++) {
    await fails(errno, says, () => posted.there.sendSync(1));
    await fails(errno, says, () => posted.there.clone());
    await fails(errno, says, () => posted.receiver.capacity);
    await fails(errno, says, () => posted.here.sendSync(1));
    if (grown === undefined) continue;
    // What has come stays, for another try.
    for (const way of ["recv", "recvSync", "tryRecv"] as const) {
      await assertIpcError("System", () => grown.receiver[way]());
    }
    await assertIpcError("System", () => grown.here.sendSync(2));
  }
  assertEquals(posted.receiver.recvSync({ timeout: 0 }), 0);
}

/** The same when there is memory again. */
function ringlessGoesOn(away: SentAway): void {
  using _ = away;
  const grown = away.receiver.tryRecv();
  if (grown.state === "message") assertEquals(grown.value, 1);
  else away.there.sendSync(1), assertEquals(away.receiver.recvSync({ timeout: 0 }), 1);
  away.there.sendSync(2), away.here.sendSync(3);
  assertEquals(away.receiver.recvMany(), [2, 3]);
}

const TESTS: Record<string, () => Promise<void>> = {
  async "descriptors in flight"() {
    const LIMIT = 256, EACH = 60;
    becomeSomebody();
    const [bell, ring] = createDoorbell();
    const fds: IpcFd[] = Array.from({ length: EACH }, () => bell.clone());
    const [carrier, arrivals] = channel<unknown>();
    const [sender, receiver] = inUse<number>();
    warmUp(sender);
    const ringless = Array.from({ length: 5 }, () => sentAway<number>({ capacity: 65_536 }));
    let sent = 0;
    for (; sent * EACH <= 2 * LIMIT; sent++) {
      try {
        carrier.sendSync([sent, fds]);
      } catch {
        break;
      }
    }
    assert(sent * EACH >= LIMIT && sent * EACH <= LIMIT + EACH, `the limit was met after ${sent} messages`);

    // Every way of sending says so, and everything is still its owner's.
    const value = [fds, receiver, sender, new Uint8Array(5 * MB)];
    const says = "let the receiver take some";
    await fails(ETOOMANYREFS, says, () => carrier.sendSync(value));
    await fails(ETOOMANYREFS, says, () => carrier.trySend(value));
    await fails(ETOOMANYREFS, says, () => carrier.send(value));
    await fails(ETOOMANYREFS, says, () =>
      carrier.sendWhenEmpty([sender], { timeout: 0 }).catch((error) => {
        // It would have to wait, as messages are queued.
        assertEquals(error.code, "Timeout");
        return carrier.send([sender]);
      }));
    assert(!receiver.closed && !sender.closed && fds.every((fd) => !fd.closed));
    sender.sendSync(7);
    assertEquals(receiver.recvSync({ timeout: 0 }), 7);
    using server = new IpcServer<number, number>();
    using oneShot = new IpcOneShotServer<number>();
    await fails(ETOOMANYREFS, says, () => IpcServer.connect(server.name));
    await fails(ETOOMANYREFS, says, () => IpcSender.connect(oneShot.name));

    const goOn = await ringlessInFlight(says, ringless);
    const unsent = channel<number>();
    assertStringIncludes((await assertIpcError("System", () => carrier.sendSync([unsent[0]]))).message, says);

    // Data needs no descriptor, not even where it has to wait for room.
    const [numbers, sink] = channel<number>({ capacity: 65_536 });
    let count = 0;
    while (numbers.trySend(count)) count++;
    const waiting = numbers.send(count++, { timeout: patience(60_000) });
    for (let n = 0; n < count - 1; n++) assertEquals(sink.recvSync({ timeout: 0 }), n);
    await waiting;
    assertEquals(await sink.recv({ timeout: patience(60_000) }), count - 1);
    numbers.close(), sink.close();

    // Once the receiver has taken some, it goes on; nothing came of what failed.
    const first = arrivals.recvSync({ timeout: 0 }) as [number, IpcFd[]];
    assertEquals(first[0], 0);
    for (const fd of first[1]) fd.close();
    for (let n = 1; n < sent; n++) {
      const [number, taken] = arrivals.recvSync({ timeout: 0 }) as [number, IpcFd[]];
      assertEquals([number, taken.length], [n, EACH]);
      for (const fd of taken) fd.close();
    }
    assertEquals(arrivals.tryRecv(), { state: "empty" });
    await goOn();
    const [unused] = passed([unsent[0]]);
    unused!.sendSync(1), unsent[0].sendSync(2);
    assertEquals(unsent[1].recvMany(), [1, 2]);
    for (const end of [...unsent, unused!]) end.close();
    carrier.sendSync(value);
    assert(receiver.closed && !sender.closed);
    const [moved, there, clone, large] = arrivals.recvSync({ timeout: 0 }) as [
      IpcFd[],
      typeof receiver,
      typeof sender,
      Uint8Array,
    ];
    assertEquals([moved.length, large.length], [EACH, 5 * MB]);
    clone.sendSync(8);
    assertEquals(there.recvSync({ timeout: 0 }), 8);
    const client = IpcServer.connect<number, number>(server.name);
    (await server.accept()).close();
    for (const end of [...fds, ...moved, bell, ring, carrier, arrivals, sender, there, clone, client]) end.close();
  },

  async "address space"() {
    const [sender, receiver] = channel<unknown>({ capacity: 65_536 });
    const bytes = new Uint8Array(300 * MB);
    const shared = IpcSharedMemory.filled(0, 300 * MB); // mapped at first use
    // As are ends that came in a message.
    const ends = inUse<number>({ capacity: 512 * MB }), [moved] = ends;
    sender.sendSync(ends);
    moved.close();
    const arrived = receiver.recvSync({ timeout: 0 }) as typeof ends;
    // And a sender that comes as one descriptor, as it was sent before.
    const [twice, receiverOfTwice] = inUse<number>({ capacity: 512 * MB });
    sender.sendSync(twice), (receiver.recvSync({ timeout: 0 }) as typeof twice).close();
    sender.sendSync(twice), twice.close();
    const packed = receiver.recvSync({ timeout: 0 }) as typeof twice;
    const posted = sentAway<number>({ capacity: 512 * MB }), grown = sentAway<number>({ capacity: 512 * MB });
    const dropped = sentAway<number>({ capacity: 512 * MB });
    for (const { there, receiver } of [grown, dropped]) there.sendSync(0), receiver.recvSync(), there.sendSync(1);
    const { size } = /VmSize:\s+(?<size>[0-9]+) kB/.exec(Deno.readTextFileSync("/proc/self/status"))!.groups!;
    await limited("as", Number(size) * 1024 + 250 * MB, async () => {
      const says = "out of memory";
      await firstUsesFail(ENOMEM, says, 512 * MB);
      await ringlessFails(ENOMEM, says, posted, grown);
      await assertIpcError("System", () => dropped.receiver.recv());
      dropped.receiver.close(); // with what has come
      using server = new IpcServer<number, number>();
      await fails(ENOMEM, says, () => IpcServer.connect(server.name, { capacity: 512 * MB }));
      await fails(ENOMEM, says, () => IpcSharedMemory.from(bytes));
      await fails(ENOMEM, says, () => IpcSharedMemory.filled(1, 300 * MB));
      await fails(ENOMEM, says, () => shared.bytes);
      for (let times = 0; times < 2; times++) {
        await fails(ENOMEM, says, () => packed.sendSync(1));
        assert(!packed.closed);
        const [there, here] = arrived;
        await fails(ENOMEM, says, () => there.sendSync(1));
        await fails(ENOMEM, says, () => there.trySend(1));
        await fails(ENOMEM, says, () => there.send(1));
        await fails(ENOMEM, says, () => there.clone());
        await fails(ENOMEM, says, () => here.recvSync({ timeout: 0 }));
        await fails(ENOMEM, says, () => here.tryRecv());
        await fails(ENOMEM, says, () => here.recv());
        assert(!there.closed && !here.closed);
        // They are still their owner's, who may pass them on.
        sender.sendSync(arrived);
        assert(!there.closed && here.closed);
        there.close();
        arrived.splice(0, 2, ...receiver.recvSync({ timeout: 0 }) as typeof ends);
      }
      // What needs less goes on.
      using client = IpcServer.connect<number, number>(server.name);
      client.sendSync(1);
      using served = await server.accept();
      assertEquals(served.recvSync({ timeout: 0 }), 1);
      using small = IpcSharedMemory.from(bytes.subarray(0, MB));
      sender.sendSync([small]);
      (receiver.recvSync({ timeout: 0 }) as [IpcSharedMemory])[0].close();
      sender.sendSync("next");
      assertEquals(receiver.recvSync({ timeout: 0 }), "next");
    });
    ringlessGoesOn(posted), ringlessGoesOn(grown);
    dropped[Symbol.dispose]();
    const [there, here] = arrived;
    there.sendSync(7);
    assertEquals(here.recvSync({ timeout: 0 }), 7);
    there.close(), here.close();
    packed.sendSync(8);
    assertEquals(receiverOfTwice.recvSync({ timeout: 0 }), 8);
    packed.close(), receiverOfTwice.close();
    assertEquals(shared.bytes.length, 300 * MB);
    const [one, two] = channel<number>({ capacity: 512 * MB });
    for (const end of [shared, IpcSharedMemory.from(bytes), sender, receiver, one, two]) end.close();
  },

  async "large files"() {
    const [carrier, arrivals] = channel<unknown>({ capacity: 65_536 });
    const [sender, receiver] = inUse<number>();
    const bytes = new Uint8Array(8 * MB).fill(3);
    const posted = sentAway<number>({ capacity: 16 * MB });
    warmUp(sender);
    assertEquals(arrivals.tryRecv(), { state: "empty" }); // so that it has its memory
    await limited("fsize", 4 * MB, async () => {
      const says = "ulimit -f";
      await firstUsesFail(EFBIG, says, 16 * MB);
      await ringlessFails(EFBIG, says, posted);
      using server = new IpcServer<number, number>({ capacity: 16 * MB });
      await fails(EFBIG, says, () => IpcServer.connect(server.name));
      await fails(EFBIG, says, () => IpcSharedMemory.from(bytes));
      await fails(EFBIG, says, () => IpcSharedMemory.filled(0, 8 * MB));
      const value = [bytes, receiver, sender];
      await fails(EFBIG, says, () => carrier.sendSync(value));
      await fails(EFBIG, says, () => carrier.trySend(value));
      await fails(EFBIG, says, () => carrier.send(value));
      assert(!receiver.closed && !sender.closed);
      assertEquals(arrivals.tryRecv(), { state: "empty" });
      // What needs less goes on.
      carrier.sendSync([bytes.subarray(0, 2 * MB)]);
      assertEquals((arrivals.recvSync({ timeout: 0 }) as [Uint8Array])[0].length, 2 * MB);
      const [small, smallReceiver] = channel<number>({ capacity: 65_536 });
      small.sendSync(1);
      assertEquals(smallReceiver.recvSync({ timeout: 0 }), 1);
      small.close(), smallReceiver.close();
    });
    ringlessGoesOn(posted);
    carrier.sendSync([bytes, receiver, sender]);
    const [large, there, clone] = arrivals.recvSync({ timeout: 0 }) as [
      Uint8Array,
      typeof receiver,
      typeof sender,
    ];
    assert(large.length === bytes.length && large.every((byte) => byte === 3));
    clone.sendSync(1);
    assertEquals(there.recvSync({ timeout: 0 }), 1);
    for (const end of [carrier, arrivals, sender, there, clone]) end.close();
  },
};

openSignalSockets();
const before = open();
const test = TESTS[Deno.args[0]!]!;
await test();
for (let turn = 0; turn < 20 && open().length > before.length; turn++) {
  await new Promise((resolve) => setTimeout(resolve, 2)); // Node's sockets close theirs in their own time
}
assertEquals(open(), before, "left behind");
assertEquals(mapped(), 0, "still mapped");
console.log("done");
