// Whatever the holder of a sender without a ring sends, it harms that channel alone.
import { assert, assertEquals } from "@std/assert";
import type { IpcReceiver, IpcSender } from "../../mod.ts";
import { encodeCbor } from "../../cbor/mod.ts";
import { LazyChannel } from "../../channel/endpoint/lazy_channel.ts";
import { receiverFrom } from "../../channel/endpoint/receiver.ts";
import { senderFrom } from "../../channel/endpoint/sender.ts";
import { RingMemory } from "../../channel/ring/memory.ts";
import type { RinglessSender } from "../../channel/ring/ringless_sender.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { libc } from "../../ffi/libc/libc.ts";
import { SHUT_RD } from "../../ffi/libc/platform.ts";
import { receiveMessage } from "../../ffi/socket/socket_message.ts";
import { assertIpcErrorSync, soon } from "../support/assert_ipc.ts";
import { Choices } from "../support/choices.ts";
import { REFUSED } from "../support/hostile_messages.ts";
import { patience } from "../support/patience.ts";
import { turn } from "../support/sent_away.ts";
import { threadTime } from "../support/thread_clock.ts";
import { test } from "../support/test.ts";
import { RING_SEALS, ringFile } from "./forge.ts";
import { BELL, codeOf, GROW, growth, packet, POST, RING, send, THINGS, withOther, words } from "./forge_ringless.ts";

interface Victim {
  readonly receiver: IpcReceiver<unknown>;
  /** The sender that stayed. */
  readonly here: IpcSender<unknown>;
  /** What the hostile peer has. */
  readonly socket: IpcFd;
}

function victim(): Victim {
  const lazy = new LazyChannel(65_536);
  const { socket } = lazy.senderHandle as RinglessSender;
  return { receiver: receiverFrom(lazy), here: senderFrom(lazy), socket };
}

function close({ receiver, here, socket }: Victim): void {
  for (const end of [receiver, here, socket]) end.close();
}

/** Ways to come upon what a peer has sent. */
const USES: Record<string, (victim: Victim) => unknown> = {
  "recvSync()": ({ receiver }) => receiver.recvSync({ timeout: 0 }),
  "recv()": ({ receiver }) => soon(receiver.recv()),
  "tryRecv()": ({ receiver }) => receiver.tryRecv(),
  "recvMany()": ({ receiver }) => receiver.recvMany(),
  "borrowSync()": ({ receiver }) => receiver.borrowSync({ timeout: 0 }),
  "for await": async ({ receiver }) => {
    for await (const _ of receiver) break;
  },
  "the capacity": ({ receiver }) => receiver.capacity,
  "the sender here": ({ here }) => here.sendSync(1),
  "a clone of it": ({ here }) => here.clone().close(),
};

// --- Packets that are malformed ----------------------------------------------------------------------------------------

const things = (count: number) => Array.from({ length: count }, () => THINGS["a memory file"]!());
const body = (length: number) => new Uint8Array(length);

const MALFORMED: Record<string, (socket: IpcFd) => void> = {
  "one byte": (socket) => send(socket, new Uint8Array(1)),
  "15 bytes": (socket) => send(socket, packet(POST, 0).subarray(0, 15)),
  "a kind that is none": (socket) => send(socket, packet(77, 0)),
  "a negative kind": (socket) => send(socket, packet(-POST, 0)),
  "a bell": (socket) => send(socket, packet(BELL, 1), [THINGS["the ringing end of a pipe"]!()]),
  "a ring as for a sender": (socket) => {
    const fds = growth(), rest = fds.splice(3);
    send(socket, packet(RING, 3), rest);
    for (const fd of fds) fd.close();
  },
  "a post that is shorter than it says": (socket) => send(socket, packet(POST, 9, body(8))),
  "a post that is longer than it says": (socket) => send(socket, packet(POST, 7, body(8))),
  "a post of a negative length": (socket) => send(socket, packet(POST, -8, body(8))),
  "a post of two billion bytes": (socket) => send(socket, packet(POST, 0x7fffffff, body(8))),
  "a post of 1025 bytes": (socket) => send(socket, packet(POST, 1025, body(1025))),
  "a post of 100 KB": (socket) => send(socket, packet(POST, 100_000, body(100_000))),
  "a post with a descriptor": (socket) => send(socket, packet(POST, 1, body(1)), things(1)),
  "a post with 253 descriptors": (socket) => send(socket, packet(POST, 1, body(1)), things(253)),
  "a growth without descriptors": (socket) => send(socket, packet(GROW, 6)),
  "a growth with five": (socket) => {
    const fds = growth(), [rest] = fds.splice(5);
    send(socket, packet(GROW, 6), fds);
    rest!.close();
  },
  "a growth with seven": (socket) => send(socket, packet(GROW, 7), [...growth(), ...things(1)]),
  "a growth with 253": (socket) => send(socket, packet(GROW, 6), things(253)),
  "a growth that says five": (socket) => send(socket, packet(GROW, 5), growth()),
  "a growth with a body": (socket) => send(socket, packet(GROW, 6, body(1)), growth()),
};

for (const [what, attack] of Object.entries(MALFORMED)) {
  test(`To a receiver without a ring ${what} is Corrupt, and ends the sender's part alone`, async () => {
    for (const [way, use] of Object.entries(USES)) {
      const all = victim();
      attack(all.socket);
      assertEquals(await codeOf(() => use(all)), "Corrupt", way);
      // The sender that stayed here goes on.
      if (!all.receiver.closed) {
        all.here.sendSync("next");
        assertEquals(all.receiver.recvSync({ timeout: 0 }), "next", way);
        assertEquals(await codeOf(() => all.receiver.recvSync({ timeout: 0 })), "Timeout", way);
      }
      close(all);
    }
  });

  test(`Of those who wait the first is told of ${what}, and the next get what comes`, async () => {
    const all = victim();
    const first = codeOf(() => all.receiver.recv()), second = all.receiver.recv();
    await turn();
    const [bell] = takeBell(all.socket);
    attack(all.socket);
    bell!.writeSync(words(1));
    assertEquals(await soon(first), "Corrupt");
    all.here.sendSync("next");
    assertEquals(await soon(second), "next");
    bell!.close(), close(all);
  });
}

/** The bell that a receiver has sent. */
function takeBell(socket: IpcFd): IpcFd[] {
  const got = receiveMessage(socket.fd, words(0, 0, 0, 0), 3);
  return typeof got === "number" ? [] : got.fds;
}

test("A post that comes first is received before what is malformed behind it, once", async () => {
  for (const [way, use] of Object.entries(USES)) {
    const all = victim();
    send(all.socket, packet(POST, 1, Uint8Array.of(7)));
    send(all.socket, packet(POST, 1, Uint8Array.of(8)));
    assertEquals(all.receiver.recvSync({ timeout: 0 }), 7);
    assertEquals(await codeOf(() => use(all)), "Corrupt", way);
    close(all);
  }
});

test("A flood of packets is read one by one, as long as none is malformed, and none of it is kept", () => {
  const all = victim();
  let sent = 0;
  while (send(all.socket, packet(POST, 1024, encodeCbor(body(1021)))) > 0) sent++;
  assert(sent > 2);
  all.receiver.tryRecv();
  assertIpcErrorSync("Corrupt", () => all.receiver.tryRecv());
  assertEquals(all.receiver.tryRecv(), { state: "empty" });
  assert(send(all.socket, packet(POST, 0)) < 0, "nobody reads it any more");
  close(all);
});

test("An empty packet is the end, whatever comes with it or behind it", async () => {
  for (const fds of [0, 3]) {
    const all = victim();
    const waiting = all.receiver.recv();
    await turn();
    send(all.socket, new Uint8Array(0), things(fds));
    send(all.socket, packet(POST, 1, Uint8Array.of(7)));
    assertEquals(all.receiver.tryRecv(), { state: "empty" });
    all.here.sendSync(1);
    assertEquals(await soon(waiting), 1);
    close(all);
  }
});

// --- Rings that are none -----------------------------------------------------------------------------------------------

const both = (memory: IpcFd) => withOther(withOther(growth(), 3, memory.clone()), 0, memory);
const RINGS: Record<string, () => IpcFd[]> = {
  "a ring of twice the capacity": () => growth(131_072),
  "a ring of the greatest capacity": () => growth(1 << 30),
  "the memory of two rings": () => withOther(growth(), 3, ringFile(1024)),
  "memory without seals": () => both(ringFile(1024, () => {}, 0)),
  "memory that may shrink": () => both(ringFile(1024, () => {}, RING_SEALS & ~2)),
  "memory of another version": () => both(ringFile(1024, (header) => header[2] = 99)),
  "empty memory": () => both(ringFile(1024, (header) => header.fill(0))),
  "the sender's handle first": () => {
    const fds = growth();
    return [...fds.slice(3), ...fds.slice(0, 3)];
  },
};
for (const place of [0, 1, 2]) {
  for (const [what, make] of Object.entries(THINGS)) {
    if (place === 1 && what === "the listening end of a pipe" || place === 2 && what === "a socket") continue;
    RINGS[`${what} in place ${place}`] = () => withOther(growth(), place, make());
  }
}

for (const [what, make] of Object.entries(RINGS)) {
  test(`A sender that gives ${what} has its channel closed for both ends, with an error`, async () => {
    for (const [way, use] of Object.entries(USES)) {
      const all = victim();
      send(all.socket, packet(GROW, 6), make());
      const code = await codeOf(() => use(all));
      assert(["Corrupt", "Incompatible"].includes(code), `${way}: ${code}`);
      for (let times = 0; times < 2; times++) {
        const codes = [
          await codeOf(() => all.receiver.recv({ timeout: 1 })),
          await codeOf(() => all.receiver.recvSync({ timeout: 0 })),
          await codeOf(() => all.here.sendSync(1)),
          await codeOf(() => all.here.clone().close()),
        ];
        for (const code of codes) assert(["Corrupt", "Closed"].includes(code), `${way}: ${codes}`);
      }
      close(all);
    }
  });
}

test("A sender's handle that is none harms the senders here, and not the receiver", () => {
  for (const place of [4, 5]) {
    for (const [what, make] of Object.entries(THINGS)) {
      if (place === 4 && what === "the ringing end of a pipe" || place === 5 && what === "a socket") continue;
      const all = victim();
      send(all.socket, packet(GROW, 6), withOther(growth(), place, make()));
      assert(["empty", "disconnected"].includes(all.receiver.tryRecv().state), what);
      assertIpcErrorSync("Corrupt", () => all.here.sendSync(1));
      assertIpcErrorSync("Closed", () => all.here.sendSync(1));
      assertEquals(all.receiver.tryRecv().state, "disconnected", what);
      close(all);
    }
  }
});

test("A ring that is scribbled over is an error at worst, in bounded time", async () => {
  const choices = Choices.of(17), began = performance.now();
  for (let round = 0; round < 40; round++) {
    const all = victim(), fds = growth();
    const memory = RingMemory.map(fds[0]!.clone(), 65_536);
    for (let word = 64 / 4; word < 4096 / 4 + 16 * 64; word++) {
      if (choices.below(2) > 0) memory.words[word] = choices.below(2 ** 32) | 0;
    }
    if (round % 2 === 0) send(all.socket, packet(POST, 1, Uint8Array.of(7)));
    if (round % 4 === 0) all.receiver.tryRecv();
    send(all.socket, packet(GROW, 6), fds);
    for (let times = 0; times < 3; times++) {
      for (const use of Object.values(USES)) {
        const late = turn();
        await Promise.race([codeOf(() => use(all)), late]);
        await late;
      }
    }
    close(all);
    memory.release();
  }
  assert(performance.now() - began < patience(20_000));
});

// --- Messages ----------------------------------------------------------------------------------------------------------

test("A post with a hostile message is refused as such a message in a ring is", async () => {
  for (const [what, hex] of Object.entries(REFUSED)) {
    const bytes = Uint8Array.fromHex(hex);
    if (bytes.length > 1024) continue;
    const all = victim();
    send(all.socket, packet(POST, bytes.length, bytes));
    const code = await codeOf(() => all.receiver.recvSync({ timeout: 0 }));
    assert(["Serialization", "TooLarge", "Incompatible"].includes(code), `${what}: ${code}`);
    all.here.sendSync("next");
    assertEquals(all.receiver.recvSync({ timeout: 0 }), "next");
    close(all);
  }
});

/** What a peer does so that no bell that it is given is rung, or kept. */
const DEAF: Record<string, (socket: IpcFd) => void> = {
  "closes each bell at once": (socket) => {
    for (const bell of takeBell(socket)) bell.close();
  },
  "can take no bell": (socket) => void libc().c.shutdown(socket.fd, SHUT_RD),
};

for (const [what, act] of Object.entries(DEAF)) {
  test(`A receiver whose peer ${what} waits on, and takes little time of the processor`, async () => {
    const all = victim();
    act(all.socket);
    const waiting = all.receiver.recv();
    const began = threadTime(), until = performance.now() + 300;
    for (; performance.now() < until; await turn()) act(all.socket);
    const took = threadTime() - began;
    // The turns of this loop take some as well.
    assert(took < patience(100), `${took} ms of 300`);
    send(all.socket, packet(POST, 1, Uint8Array.of(7)));
    all.socket.close();
    assertEquals(await soon(waiting), 7);
    all.here.close();
    assertIpcErrorSync("Disconnected", () => all.receiver.recvSync());
    close(all);
  });
}
