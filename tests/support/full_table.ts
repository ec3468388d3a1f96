// Runs in a process that may have few descriptors: what happens when there is no room for one more. Says "done" if
// everything was as it should be.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  channel,
  duplex,
  IpcOneShotServer,
  type IpcReceiver,
  IpcReceiverSet,
  IpcSender,
  IpcServer,
  IpcSharedMemory,
} from "../../mod.ts";
import { BellListener, createDoorbell, ringBell } from "../../ffi/event/doorbell.ts";
import { POLLIN } from "../../ffi/libc/platform.ts";
import { pollEventually } from "../../ffi/event/readiness.ts";
import { sendFdsSync } from "../../ffi/socket/fd_passing.ts";
import { UnixSocket } from "../../ffi/socket/unix_socket.ts";
import { assertIpcError } from "./assert_ipc.ts";
import { withRoomFor } from "./fill_table.ts";
import { descriptorsOf } from "./leftovers.ts";
import { patience } from "./patience.ts";

// Half a second after the start Deno listens for a signal, and panics if it finds no descriptor for that.
const listener = () => {};
Deno.addSignalListener("SIGWINCH", listener);
Deno.removeSignalListener("SIGWINCH", listener);

/** Open descriptors of this package's kinds, once those that Node's sockets had are closed, in their own time. */
async function count(): Promise<number> {
  const look = () => descriptorsOf("self").filter((link) => /^(pipe:|socket:|\/memfd:)/.test(link)).length;
  let last = look();
  for (let unchanged = 0; unchanged < 25; unchanged++) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    const now = look();
    if (now !== last) unchanged = 0;
    last = now;
  }
  return last;
}

async function fails(what: string, act: () => unknown): Promise<void> {
  const error = await assertIpcError("System", act);
  assert(/EMFILE|too many/i.test(error.message), `${what}: ${error.message}`);
}

async function creating(what: string, most: number, make: () => { close(): void }[]): Promise<void> {
  for (const end of make()) end.close();
  const before = await count();
  let failures = 0;
  for (let free = 0; free < 4 * (most + 1); free++) {
    await withRoomFor(free >>> 2, async () => {
      let made;
      try {
        made = make();
      } catch {
        failures++;
        await fails(what, make);
        return;
      }
      for (const end of made) end.close();
    });
  }
  // Deno opens one or two of its own meanwhile; here each amount of room was tried four times.
  assert(await count() <= before + 2, `${what} leaves something open`);
  assert(failures > 0, `${what} never failed`);
  for (const end of make()) end.close();
  console.log("ok", what);
}

/** Ends that have their descriptors, or are closed if they cannot have them. */
function used<A extends { close(): void }, B extends { tryRecv(): unknown; close(): void }>(
  [one, other]: [A, B],
  bothWays = false,
): (A | B)[] {
  try {
    other.tryRecv();
    if (bothWays) (one as unknown as B).tryRecv();
  } catch (error) {
    one.close(), other.close();
    throw error;
  }
  return [one, other];
}

/** A channel that has its descriptors. */
function inUse<T>(): [IpcSender<T>, IpcReceiver<T>] {
  const [sender, receiver] = channel<T>();
  receiver.tryRecv();
  return [sender, receiver];
}

/**
 * A channel takes its descriptors when it is used in earnest. A use that fails changes nothing, with however much room, and
 * whatever the channel has kept until then.
 */
async function firstUses(): Promise<void> {
  const [carrier, arrivals] = inUse<unknown>();
  const before = await count();
  for (let free = 0; free < 5; free++) {
    for (const kept of [0, 1, 16]) {
      const [sender, receiver] = channel<unknown>();
      const what = `with room for ${free}, and ${kept} messages kept`;
      for (let n = 0; n < kept; n++) sender.sendSync(n);
      // In earnest: too large to be kept, or too many.
      const next = kept < 16 ? new Uint8Array(2000).fill(1) : kept;
      await withRoomFor(free, async () => {
        await fails("send()", () => sender.send(next));
        await fails("sendSync()", () => sender.sendSync(next));
        await fails("trySend()", () => sender.trySend(next));
        await fails("sendWhenEmpty()", () => sender.sendWhenEmpty(0));
        await fails("clone()", () => sender.clone());
        // Sent away first it needs no more than two.
        if (free < 2 || kept > 0) await fails("a sender in a message", () => carrier.sendSync({ sender }));
        await fails("a receiver in a message", () => carrier.sendSync([receiver]));
        await fails("its own sender in a message", () => sender.sendSync({ sender }));
        await fails("recvMany()", () => receiver.recvMany());
        await fails("borrow()", () => receiver.borrow());
        await fails("toOpaque()", () => receiver.toOpaque());
        if (kept > 0) return;
        await fails("recv()", () => receiver.recv());
        await fails("recvSync()", () => receiver.recvSync());
        await fails("tryRecv()", () => receiver.tryRecv());
      });
      assertEquals(await count(), before, `first uses leave something open, ${what}`);
      assertEquals(arrivals.tryRecv(), { state: "empty" });
      if (kept === 0 && free % 2 === 0) { // what was sent before any use has its descriptors, and needs no more, if it is limited
        receiver.limitMessages(100_000);
        carrier.sendSync(sender);
        (arrivals.recvSync() as typeof sender).close();
        await withRoomFor(0, () => {
          sender.sendSync(1), sender.clone().close();
          assertEquals([receiver.recvSync({ timeout: 0 }), receiver.tryRecv().state], [1, "empty"]);
        });
      }
      carrier.sendSync([receiver]);
      sender.sendSync(next);
      sender.close();
      const [moved] = arrivals.recvSync() as [typeof receiver];
      for (let n = 0; n < kept; n++) assertEquals(moved.recvSync({ timeout: 0 }), n, what);
      assertEquals(moved.recvSync({ timeout: 0 }), next, what);
      assertEquals(moved.tryRecv(), { state: "disconnected" }, what);
      moved.close();
    }
  }
  carrier.close(), arrivals.close();
  console.log("ok first uses");
}

const TESTS: Record<string, () => Promise<void>> = {
  async nap() {
    const [listen, bell] = createDoorbell();
    const listener = new BellListener(listen);
    // Without its timer the first time, which takes a descriptor, and with it the second time.
    const wait = () => {
      const began = performance.now();
      listener.waitBriefly(20_000);
      assert(performance.now() - began >= 20, "it ended too early");
      ringBell(bell.fd);
      listener.waitBriefly(900_000);
      assert(performance.now() - began < 900, "it was rung");
    };
    const timers = () => descriptorsOf("self").filter((link) => link === "anon_inode:[timerfd]").length;
    const before = timers();
    await withRoomFor(0, wait);
    wait();
    assertEquals(timers(), before + 1);
    listener.close(), bell.close();
  },
  async create() {
    await creating("a channel at its first use", 8, () => used(channel<number>()));
    await creating("a duplex at its first uses", 14, () => used(duplex<number, number>(), true));
    await firstUses();
    await creating("IpcSharedMemory", 1, () => [IpcSharedMemory.filled(1, 10)]);
    await creating("IpcServer", 2, () => [new IpcServer()]);
    // A server of its own for each: what is in flight to one that does not accept is limited as well, but for root.
    await creating("IpcServer.connect()", 18, () => {
      using server = new IpcServer<number, number>();
      return [IpcServer.connect(server.name)];
    });
    using oneShot = new IpcOneShotServer<number>();
    await withRoomFor(2, () => fails("IpcSender.connect()", () => IpcSender.connect(oneShot.name)));
    using sender = IpcSender.connect<number>(oneShot.name);
    sender.sendSync(1);
    const [receiver, first] = await oneShot.accept();
    assertEquals(first, 1);
    receiver.close();
  },

  async send() {
    const [carrier, arrivals] = channel<unknown>();
    const [sender, receiver] = inUse<number>();
    const large = new Uint8Array(5 << 20);
    carrier.sendSync([sender]), (arrivals.recvSync() as [IpcSender<number>])[0].close();
    const before = await count();
    await withRoomFor(0, async () => {
      for (const send of [carrier.sendSync, carrier.trySend, carrier.send]) {
        // A body beside the ring needs a memory file.
        await fails("a large message", () => send.call(carrier, [large, receiver, sender]));
        assert(!receiver.closed && !sender.closed);
      }
      sender.sendSync(1);
      assertEquals(receiver.recvSync({ timeout: 0 }), 1);
    });
    assertEquals(arrivals.tryRecv(), { state: "empty" });
    assertEquals(await count(), before);
    carrier.sendSync([large, receiver, sender]);
    const [, moved, clone] = arrivals.recvSync({ timeout: 0 }) as [unknown, typeof receiver, typeof sender];
    clone.sendSync(2);
    assertEquals(moved.recvSync({ timeout: 0 }), 2);
    for (const end of [carrier, arrivals, sender, moved, clone]) end.close();
    console.log("ok sending");

    // A send that has to wait needs a bell of its own, and duplicates of what it carries.
    const [full, fullReceiver] = channel<unknown>({ capacity: 65_536 });
    const [other, otherReceiver] = inUse<number>();
    while (full.trySend(0));
    const now = await count();
    for (let free = 0; free <= 6; free++) {
      await withRoomFor(free, async () => {
        const error = await full.send([otherReceiver], { timeout: 1 }).catch((error) => error);
        assert(["System", "Timeout"].includes(error.code), error.message);
        assert(!otherReceiver.closed, `with room for ${free} the receiver is lost`);
      });
      other.sendSync(free);
      assertEquals(otherReceiver.recvSync({ timeout: 0 }), free);
    }
    const rest = fullReceiver.recvMany();
    assert(rest.every((value) => value === 0), "nothing of it was sent");
    assert(await count() <= now + 3, "a bell for room stays, nothing else");
    for (const end of [full, fullReceiver, other, otherReceiver]) end.close();
    console.log("ok waiting for room");
  },

  async receive() {
    const [carrier, arrivals] = channel<unknown>();
    const [sender, receiver] = inUse<number>();
    carrier.sendSync(sender);
    const before = await count();
    for (const way of ["recvSync", "recv", "tryRecv", "borrowSync"] as const) {
      await withRoomFor(2, async () => {
        await fails(way, () => arrivals[way]());
      });
      assertEquals(await count(), before, `${way} leaves something open`);
    }
    // The message is still there.
    const clone = arrivals.recvSync({ timeout: 0 }) as typeof sender;
    clone.sendSync(1);
    assertEquals(receiver.recvSync({ timeout: 0 }), 1);
    clone.close();

    // Sent again it comes as one descriptor, and has two more in it, for which there must be room when it is used.
    carrier.sendSync(sender);
    const packed = arrivals.recvSync({ timeout: 0 }) as typeof sender;
    const unused = await count();
    for (let free = 0; free < 2; free++) {
      await withRoomFor(free, async () => {
        await fails("sendSync()", () => packed.sendSync(2));
        await fails("send()", () => packed.send(2));
        await fails("clone()", () => packed.clone());
        assert(!packed.closed);
      });
      assertEquals(await count(), unused, `unpacking with room for ${free} leaves something open`);
    }
    packed.sendSync(2);
    assertEquals(receiver.recvSync({ timeout: 0 }), 2);
    packed.close();
    console.log("ok receiving");

    // A wait that cannot begin is no wait: it takes no message later on.
    await withRoomFor(0, () => fails("recv()", () => receiver.recv()));
    sender.sendSync(2);
    assertEquals(await receiver.recv({ timeout: patience(1000) }), 2);
    const set = new IpcReceiverSet();
    const id = set.add(receiver);
    await withRoomFor(0, () => fails("select()", () => set.select({ timeout: patience(60_000) })));
    const pending = set.select();
    sender.sendSync(3);
    assertEquals(await pending, [{ id, type: "message", value: 3 }]);

    // Nor is a receiver lost that is added while there is no room to listen to it.
    const [late, lateReceiver] = inUse<number>();
    const waiting = set.select({ timeout: patience(60_000) });
    let lateId = 0;
    await withRoomFor(0, () => {
      lateId = set.add(lateReceiver);
      return fails("select() after add()", () => waiting);
    });
    const next = set.select({ timeout: patience(60_000) });
    late.sendSync(4);
    assertEquals(await next, [{ id: lateId, type: "message", value: 4 }]);
    assert(set.remove(lateId) && set.size === 1);
    for (const end of [carrier, arrivals, sender, late, set]) end.close();
    console.log("ok waiting");
  },

  /** Waiting for a descriptor takes two; a wait that could not begin does not keep the next ones from it. */
  async wait() {
    const [one, other] = UnixSocket.pair({ type: "seqpacket" });
    const readable = () => pollEventually(one, POLLIN, "wait", { timeout: patience(20_000) });
    const before = await count();
    for (let free = 0; free < 2; free++) await withRoomFor(free, () => fails("a wait", readable));
    const waiting = readable();
    sendFdsSync(other, new Uint8Array(1), []);
    assertEquals(await waiting, POLLIN);
    assertEquals(await count(), before);
    one.close(), other.close();
    console.log("ok waiting for a descriptor");
  },

  async accept() {
    const client = new Client();
    assertEquals(await client.tell("hello"), "hello"); // so that Deno has all that it wants for a child
    // What the event loop opens for its first listener and timer it keeps.
    using warm = new IpcServer<number, number>();
    await assertIpcError("Timeout", () => warm.accept({ timeout: 1 }));
    for (const [what, serve] of Object.entries({ IpcServer: serveMany, IpcOneShotServer: serveOne })) {
      for (const way of ["before", "after", "sync", "freed"] as const) {
        let failures = 0, successes = 0;
        const before = await count();
        for (let free = 0; free < 12; free++) {
          const failed = await serve(client, free, way);
          failed ? failures++ : successes++;
        }
        assert(await count() <= before + 2, `${what}, ${way}: leaves something open`);
        assert(successes > 0, `${what}, ${way}: never served a client at once`);
        assert((failures > 0) === (way !== "freed"), `${what}, ${way}: failed ${failures} times`);
        console.log("ok", what, way, failures);
      }
    }
    await client.close();
  },
};

/** Another process, which connects to servers when it is told to; started while there is room for that. */
class Client {
  readonly #process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", import.meta.filename!, "connect"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  readonly #status = this.#process.status;
  readonly #stdin = this.#process.stdin.getWriter();
  readonly #stdout = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();

  /** Tells it something; resolves to its next word. */
  async tell(...words: string[]): Promise<string | undefined> {
    await this.#stdin.write(new TextEncoder().encode(words.join(" ") + "\n"));
    return (await this.#stdout.read()).value?.trim();
  }

  async close(): Promise<void> {
    await this.#stdin.close();
    await this.#status;
    await this.#stdout.cancel();
  }
}

type Way = "before" | "after" | "sync" | "freed";
interface Accepting<T> {
  accept(options: { timeout: number }): Promise<T>;
  acceptSync(options: { timeout: number }): T;
}

/**
 * Lets a client connect while there is room for `free` descriptors only: to a server that waits already, that awaits it
 * afterwards or blocks for it, or where there is room again at once.
 *
 * @returns What was accepted, and whether that took a second accept.
 */
async function acceptFull<T>(server: Accepting<T>, free: number, way: Way, connect: () => Promise<void>) {
  const options = { timeout: patience(20_000) };
  const accept = () => way === "sync" ? Promise.resolve(server.acceptSync(options)) : server.accept(options);
  let accepting = way === "before" || way === "freed" ? server.accept(options) : undefined;
  accepting?.catch(() => {});
  let failed = false;
  await withRoomFor(free, async () => {
    await connect();
    if (way === "freed") return;
    try {
      accepting ??= accept();
      await accepting;
    } catch (error) {
      failed = true;
      await fails(`accept with room for ${free}`, () => Promise.reject(error));
      assertStringIncludes((error as Error).message, "close some");
    }
  });
  // Who waited all the time may have been told of a full table before there was room again.
  return { accepted: await (failed ? accept() : accepting!.catch(accept)), failed };
}

async function serveMany(client: Client, free: number, way: Way): Promise<boolean> {
  using server = new IpcServer<number, number>();
  const { accepted, failed } = await acceptFull(server, free, way, async () => {
    assertEquals(await client.tell("many", server.name), "connected");
  });
  accepted.sendSync(2 * accepted.recvSync({ timeout: patience(20_000) }));
  assertEquals(await client.tell("answer?"), "42");
  accepted.close();
  // It serves the next one as ever.
  const next = server.accept({ timeout: patience(20_000) });
  assertEquals(await client.tell("many", server.name), "connected");
  (await next).close();
  assertEquals(await client.tell("answer?"), "Disconnected");
  return failed;
}

async function serveOne(client: Client, free: number, way: Way): Promise<boolean> {
  using server = new IpcOneShotServer<number>();
  const { accepted: [receiver, first], failed } = await acceptFull(server, free, way, async () => {
    assertEquals(await client.tell("one", server.name), "connected");
  });
  assertEquals(first, 21);
  assertEquals(receiver.recvSync({ timeout: patience(20_000) }), 22);
  receiver.close();
  return failed;
}

/** The other process. */
async function connect(): Promise<void> {
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream()).getReader();
  let duplex: ReturnType<typeof IpcServer.connect<number, number>> | undefined;
  for (let line = await lines.read(); !line.done; line = await lines.read()) {
    const [what, name] = line.value.trim().split(" ");
    if (what === "many") {
      duplex = IpcServer.connect<number, number>(name!);
      duplex.sendSync(21);
      console.log("connected");
    } else if (what === "one") {
      using sender = IpcSender.connect<number>(name!);
      sender.sendSync(21), sender.sendSync(22);
      console.log("connected");
    } else if (what === "hello") {
      console.log(what);
    } else {
      console.log(await duplex!.recv({ timeout: patience(20_000) }).catch((error) => error.code));
      duplex!.close();
    }
  }
}

if (Deno.args[0] === "connect") {
  await connect();
} else {
  await TESTS[Deno.args[0]!]!();
  console.log("done");
}
