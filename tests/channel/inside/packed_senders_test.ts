// A sender that is sent again travels as one descriptor, its socket, in which the other two lie.
import { assert, assertEquals } from "@std/assert";
import { bytesChannel, channel, duplex, type IpcError, type IpcReceiver, type IpcSender } from "../../../mod.ts";
import { encodeCbor } from "../../../cbor/mod.ts";
import { createDoorbell } from "../../../ffi/event/doorbell.ts";
import { moveOut } from "../../../channel/endpoint/receiver.ts";
import type { IpcFd } from "../../../ffi/file/fd.ts";
import { sealedMemory } from "../../../ffi/memory/sealed_memory.ts";
import { receiveMessage, sendMessage } from "../../../ffi/socket/socket_message.ts";
import { socketPair } from "../../../ffi/socket/new_socket.ts";
import { Message } from "../../../channel/message/outgoing.ts";
import type { Self } from "../../support/actor.ts";
import { assertIpcError, assertIpcErrorSync, soon } from "../../support/assert_ipc.ts";
import { descriptorsOf } from "../../support/leftovers.ts";
import { openChannel } from "../../support/open_channel.ts";
import { processTest, test } from "../../support/test.ts";

const open = () => descriptorsOf("self").length;

/** Sends a value to this very process; returns what arrived, and how many descriptors that opened. */
function through<T>([to, from]: [IpcSender<unknown>, IpcReceiver<unknown>], value: T): [T, number] {
  to.sendSync(value);
  const before = open();
  const received = from.recvSync({ timeout: 0 }) as T;
  return [received, open() - before];
}

/** A new channel with a ring: without one a sender travels in another way at first. */
function withRing<T>(): [IpcSender<T>, IpcReceiver<T>] {
  const ends = channel<T>({ capacity: 65_536 });
  assertEquals(ends[0].capacity, 65_536);
  return ends;
}

processTest("From the second time on a sender opens one descriptor where it arrives, whatever its kind", () => {
  const carrier = channel<unknown>();
  const [typed, numbers] = channel<number>();
  const [bytes, strings] = bytesChannel();
  assert(bytes.capacity > 0); // it has a ring
  const opaque = typed.clone().toOpaque();
  const own = [channel<number>()];
  const fresh = own[0]![0].clone().toOpaque();
  for (const [n, expected] of [3, 1, 1].entries()) {
    const [[first, second, third], opened] = through(carrier, [typed, bytes, fresh] as const);
    assertEquals(opened, 3 * expected, `the ${n + 1}. time`);
    first.sendSync(n), second.sendSync(new Uint8Array([n]));
    const retyped = third.to<number>();
    retyped.sendSync(n);
    assertEquals([numbers.recvSync(), strings.recvSync()[0], own[0]![1].recvSync()], [n, n, n]);
    for (const end of [first, second, retyped]) end.close();
  }
  for (const end of [...carrier, typed, numbers, bytes, strings, opaque, fresh, ...own[0]!]) end.close();
});

processTest("A packed sender that was not used can be sent on, and closed, without opening more", () => {
  const carrier = channel<unknown>();
  const [sender, receiver] = withRing<string>();
  through(carrier, sender)[0].close();
  const [arrived] = through(carrier, sender);
  const [onward, opened] = through(carrier, [arrived, sender]);
  assertEquals(opened, 2);
  for (const [i, end] of onward.entries()) end.sendSync(String(i));
  assertEquals(receiver.recvMany(), ["0", "1"]);
  for (const end of [...carrier, sender, receiver, arrived, ...onward]) end.close();
});

/** Passes on whatever senders come. */
export function passOn(
  { from, to }: { from: IpcReceiver<IpcSender<string>>; to: IpcSender<IpcSender<string>> },
  self: Self,
): void {
  for (const use of [true, false]) {
    using sender = from.recvSync();
    if (use) sender.sendSync("on the way");
    to.sendSync(sender);
  }
  to.close(), from.close();
  self.say("done");
}

processTest("A packed sender goes from process to process, used or not, and each can send", async ({ start }) => {
  const [to, from] = channel<IpcSender<string>>();
  const [back, returned] = channel<IpcSender<string>>();
  const [sender, receiver] = withRing<string>();
  through(channel<unknown>(), sender)[0].close();
  const child = await start(import.meta.url, passOn, { from, to: back });
  for (let n = 0; n < 2; n++) {
    to.sendSync(sender);
    const came = await soon(returned.recv());
    came.sendSync(`back again ${n}`);
    came.close();
  }
  assertEquals(await soon(child.said()), "done");
  assertEquals(receiver.recvMany().toSorted(), ["back again 0", "back again 1", "on the way"]);
  sender.close();
  await soon(assertIpcError("Disconnected", () => receiver.recv()));
  for (const end of [to, back, returned, receiver]) end.close();
}, "the carrier of the first sending is forgotten, not closed");

processTest("A receiver learns that the last sender is gone, although a doorbell lies in their socket", async () => {
  const carrier = channel<unknown>();
  const [sender, receiver] = withRing<unknown>();
  through(carrier, sender)[0].close();
  const [packed] = through(carrier, sender);
  const [other, others] = channel<number>();
  // The last thing that goes through the socket: closed with something unread in it, its other end gets an error.
  packed.sendSync(other);
  const waiting = assertIpcError("Disconnected", async () => {
    (await receiver.recv() as typeof other).close();
    await receiver.recv();
  });
  packed.close(), sender.close();
  await soon(waiting);
  for (const end of [...carrier, receiver, other, others]) end.close();
});

processTest("A packed sender whose receiver is gone says so at its first use", () => {
  const carrier = channel<unknown>();
  const [sender, receiver] = withRing<number>();
  through(carrier, sender)[0].close();
  const [packed] = through(carrier, sender);
  receiver.close();
  assertIpcErrorSync("Disconnected", () => packed.sendSync(1));
  for (const end of [...carrier, sender, packed]) end.close();
});

processTest("A sender whose receiver was sent away before goes as three descriptors from then on", () => {
  const carrier = channel<unknown>();
  const [sender, receiver] = channel<number>();
  const [moved] = through(carrier, receiver);
  for (let n = 0; n < 3; n++) {
    const [arrived, opened] = through(carrier, sender);
    assertEquals(opened, 3);
    arrived.sendSync(n);
    assertEquals(moved.recvSync({ timeout: 0 }), n);
    arrived.close();
  }
  for (const end of [...carrier, sender, moved]) end.close();
});

processTest(
  "A packed sender is sent on after it was used here, whether or not another one to its channel was before",
  () => {
    for (const anotherFirst of [false, true]) {
      const carrier = channel<unknown>();
      const [sender, receiver] = channel<string>();
      through(carrier, sender)[0].close(); // without a ring; from then on with one that is not mapped here
      const received = [1, 2].map(() => through(carrier, sender)[0]);
      if (anotherFirst) received[1]!.sendSync("another");
      sender.sendSync("own"); // if the other one is in use here, its ring is shared
      received.push(through(carrier, sender)[0], through(carrier, sender)[0]);
      for (const each of received.slice(2)) each.sendSync("sent again");
      const texts = [...anotherFirst ? ["another"] : [], "own", "sent again", "sent again"];
      assertEquals(texts.map(() => receiver.recvSync({ timeout: 0 })), texts);
      sender.close();
      assertIpcErrorSync("Closed", () => carrier[0].sendSync(sender));
      for (const end of [...received, ...carrier, receiver]) end.close();
    }
  },
);

processTest("Only so many senders are packed at a time, as what lies in sockets counts as in flight", () => {
  const carrier = channel<unknown>();
  const many = Array.from({ length: 70 }, () => withRing<number>());
  const senders = many.map(([sender]) => sender);
  for (const end of through(carrier, senders)[0]) end.close();
  const [arrived, opened] = through(carrier, senders);
  assertEquals(opened, 64 + 6 * 3);
  for (const [i, end] of arrived.entries()) {
    end.sendSync(i);
    assertEquals(many[i]![1].recvSync({ timeout: 0 }), i);
    end.close();
  }
  // Those that are closed make room.
  for (const end of many.splice(0, 6).flat()) end.close();
  const [later, fewer] = through(carrier, senders.slice(6));
  assertEquals(fewer, 64);
  for (const end of [...later, ...carrier, ...many.flat()]) end.close();
});

processTest("A packed sender that is closed where it was made counts as long as anybody has it", () => {
  const carrier = channel<unknown>();
  const many = Array.from({ length: 70 }, () => withRing<number>());
  const senders = many.map(([sender]) => sender), receivers = many.map(([, receiver]) => receiver);
  for (const end of through(carrier, senders)[0]) end.close();
  const [arrived] = through(carrier, senders);
  for (const sender of senders.splice(0, 64)) sender.close();
  const [unpacked, opened] = through(carrier, senders);
  assertEquals(opened, 6 * 3);
  // What is closed elsewhere is noticed by and by.
  for (const end of arrived) end.close();
  let [others, last] = through(carrier, senders);
  for (let i = 0; i < 64 && last > 6; i++) {
    for (const end of others) end.close();
    [others, last] = through(carrier, senders);
  }
  assertEquals(last, 6);
  for (const end of [...unpacked, ...others, ...carrier, ...senders, ...receivers]) end.close();
});

test("A duplex whose sending half was packed by sends that failed arrives whole", () => {
  const [to, from] = channel<unknown>({ capacity: 65_536 });
  while (to.trySend(0));
  const [left, right] = duplex<number, number>();
  for (let n = 0; n < 3; n++) assert(!to.trySend({ right }));
  from.recvMany();
  to.sendSync({ right });
  const { right: moved } = from.recvSync({ timeout: 0 }) as { right: typeof right };
  left.sendSync(1);
  moved.sendSync(2 * moved.recvSync({ timeout: 0 }));
  assertEquals(left.recvSync({ timeout: 0 }), 2);
  for (const end of [to, from, left, moved]) end.close();
});

// --- From a hostile peer ---------------------------------------------------------------------------------------------

const words = (...all: number[]) => new Uint8Array(new Int32Array(all).buffer);

/** A socket with something in its queue. */
function socketWith(data: Uint8Array, fds: readonly IpcFd[]): IpcFd {
  const [inner, outer] = socketPair("stream");
  if (data.length > 0) sendMessage(inner.fd, data, fds.map((fd) => fd.fd));
  inner.close();
  for (const fd of fds) fd.close();
  return outer;
}

const memory = () => sealedMemory("hostile", 4096);
function pipe(): IpcFd {
  const [listen, ring] = createDoorbell();
  listen.close();
  return ring;
}

const PACKED: readonly { what: string; make: () => IpcFd; code: IpcError["code"] }[] = [
  { what: "an empty socket", make: () => socketWith(new Uint8Array(0), []), code: "Corrupt" },
  { what: "a pipe", make: pipe, code: "Corrupt" },
  { what: "a memory file", make: memory, code: "Corrupt" },
  { what: "a packet without descriptors", make: () => socketWith(words(4, 0, 0, 2), []), code: "Corrupt" },
  { what: "a packet with one descriptor", make: () => socketWith(words(4, 0, 0, 2), [memory()]), code: "Corrupt" },
  {
    what: "a packet with three descriptors",
    make: () => socketWith(words(4, 0, 0, 2), [memory(), pipe(), pipe()]),
    code: "Corrupt",
  },
  {
    what: "a packet with 253 descriptors",
    make: () => socketWith(words(4, 0, 0, 2), Array.from({ length: 253 }, pipe)),
    code: "Corrupt",
  },
  { what: "another kind of packet", make: () => socketWith(words(1, 0, 0, 2), [memory(), pipe()]), code: "Corrupt" },
  { what: "a short packet", make: () => socketWith(words(4), [memory(), pipe()]), code: "Corrupt" },
  {
    what: "memory that is no ring",
    make: () => socketWith(words(4, 0, 0, 2), [memory(), pipe()]),
    code: "Corrupt",
  },
  {
    what: "two pipes",
    make: () => socketWith(words(4, 0, 0, 2), [pipe(), pipe()]),
    code: "Incompatible",
  },
];

for (const { what, make, code } of PACKED) {
  test(`A packed sender that is ${what} fails with ${code} at its first use, and costs no descriptor`, () => {
    const { sender, receiver, ring, close } = openChannel<unknown>();
    const socket = make();
    const message = Uint8Array.of(0xd8, 27, ...encodeCbor(["isthmus", "sender", 0, 1]));
    assert(ring.trySend(Message.of(message), [socket.fd]));
    socket.close();
    const arrived = receiver.recvSync({ timeout: 0 }) as IpcSender<number>;
    assertIpcErrorSync(code, () => arrived.sendSync(1));
    assert(arrived.closed);
    sender.sendSync("next");
    assertEquals(receiver.recvSync({ timeout: 0 }), "next");
    close();
  });
}

processTest("Whoever empties the socket of a packed sender harms those who unpack it later, with an error", () => {
  const carrier = channel<unknown>();
  const [sender, receiver] = channel<number>();
  through(carrier, sender)[0].close();
  const [one] = through(carrier, sender);
  const [two] = through(carrier, sender);
  const [held] = through(carrier, sender);
  one.sendSync(1);
  // By way of a descriptor of that socket, as any holder has.
  const [hostile, arrivals] = channel<unknown>();
  hostile.sendSync({ held });
  held.close();
  const [socket] = takeDescriptors(arrivals);
  const taken = receiveMessage(socket!.fd, new Uint8Array(16), 2);
  assert(typeof taken === "object" && taken.fds.length === 2);
  for (const fd of [...taken.fds, socket!]) fd.close();
  assertIpcErrorSync("Corrupt", () => two.sendSync(2));
  one.sendSync(3);
  sender.sendSync(4);
  assertEquals(receiver.recvMany(), [1, 3, 4]);
  for (const end of [...carrier, hostile, arrivals, sender, receiver, one, two]) end.close();
});

/** The descriptors of the next message, as a peer that speaks the protocol by itself gets them; closes the receiver. */
function takeDescriptors(receiver: IpcReceiver<unknown>): IpcFd[] {
  const core = moveOut(receiver);
  const ring = core.open();
  assert(ring.next());
  const h = ring.offset >>> 2, { dataWords } = ring.memory;
  const fds = ring.descriptors.take(dataWords[h + 1]!, dataWords[h + 2]!, dataWords[h + 3]!);
  ring.release();
  core.close();
  return fds;
}
