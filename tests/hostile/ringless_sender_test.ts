// Whatever a peer gives for a sender without a ring, or puts into its queue, it harms that sender alone.
import { assert, assertEquals } from "@std/assert";
import { channel, type IpcSender } from "../../mod.ts";
import { setStepHook } from "../../base/step_hook.ts";
import { encodeCbor } from "../../cbor/mod.ts";
import { Message } from "../../channel/message/outgoing.ts";
import { IpcFd } from "../../ffi/file/fd.ts";
import { libc } from "../../ffi/libc/libc.ts";
import { AF_UNIX, O_CLOEXEC, O_RDWR, SHUT_RD, SOCK_CLOEXEC, SOCK_SEQPACKET } from "../../ffi/libc/platform.ts";
import { socketPair } from "../../ffi/socket/new_socket.ts";
import { peekBytes } from "../../ffi/socket/socket_message.ts";
import { UnixSocket } from "../../ffi/socket/unix_socket.ts";
import { assertIpcErrorSync } from "../support/assert_ipc.ts";
import { openChannel } from "../support/open_channel.ts";
import { patience } from "../support/patience.ts";
import { passed, turn } from "../support/sent_away.ts";
import { lookingTest, test } from "../support/test.ts";
import { RING_SEALS, ringFile } from "./forge.ts";
import { BELL, codeOf, growth, packet, POST, RING, send, THINGS, withOther } from "./forge_ringless.ts";

/** What arrives of a message with a mark and a descriptor, from a peer that writes it by hand; an error if it does not. */
function arrived(fd: IpcFd, ...details: unknown[]): IpcSender<unknown> {
  const { sender, receiver, ring, close } = openChannel<unknown>();
  const message = Uint8Array.of(0xd8, 27, ...encodeCbor(["isthmus", "sender", 0, ...details]));
  assert(ring.trySend(Message.of(message), [fd.fd]));
  fd.close();
  sender.sendSync("next");
  try {
    return receiver.recvSync({ timeout: 0 }) as IpcSender<unknown>;
  } finally {
    assertEquals(receiver.recvSync({ timeout: 0 }), "next");
    close();
  }
}

/** A sender whose peer is hostile, and that peer's socket. */
function victim(): { sender: IpcSender<unknown>; peer: IpcFd } {
  const [peer, socket] = socketPair("seqpacket");
  return { sender: arrived(socket, 2, 65_536), peer };
}

const USES: Record<string, (sender: IpcSender<unknown>) => unknown> = {
  "sendSync()": (sender) => sender.sendSync(1),
  "sendSync() of more": (sender) => sender.sendSync(new Uint8Array(2000)),
  "send()": (sender) => sender.send(1),
  "trySend() of more": (sender) => sender.trySend(new Uint8Array(2000)),
  "sendWhenEmptySync()": (sender) => sender.sendWhenEmptySync(1, { timeout: 1 }),
  "clone()": (sender) => sender.clone().close(),
  "the capacity": (sender) => sender.capacity,
  "in a message": (sender) => passed({ sender }).sender.close(),
};

// --- What is no sender -------------------------------------------------------------------------------------------------

const IMPOSSIBLE = [
  0,
  1,
  -1,
  -65_536,
  65_535,
  65_537,
  32_768,
  98_304,
  2 ** 31,
  2 ** 53,
  0.5,
  NaN,
  Infinity,
  "65536",
  null,
  true,
  [65_536],
  65_536n * 2n ** 60n,
  {},
];

test("A sender with an impossible capacity is not decoded, costs no descriptor, and the next message arrives", () => {
  const socket = () => THINGS["a socket"]!();
  for (const capacity of IMPOSSIBLE) {
    const error = assertIpcErrorSync("Serialization", () => arrived(socket(), 2, capacity));
    assert(error.message.length < 200, error.message);
  }
  assertIpcErrorSync("Serialization", () => arrived(socket(), 2));
  assertIpcErrorSync("Serialization", () => arrived(socket(), 3, 65_536));
  assertIpcErrorSync("Serialization", () => arrived(socket(), "2", 65_536));
  for (const capacity of [65_536, 131_072, 2 ** 30]) arrived(socket(), 2, capacity).close();
});

test("A descriptor cannot be a sender twice", () => {
  const { receiver, ring, close } = openChannel<unknown>();
  const [one, other] = socketPair("seqpacket");
  const mark = [0xd8, 27, ...encodeCbor(["isthmus", "sender", 0, 2, 65_536])];
  assert(ring.trySend(Message.of(Uint8Array.of(0x82, ...mark, ...mark)), [one.fd]));
  assertIpcErrorSync("Serialization", () => receiver.recvSync({ timeout: 0 }));
  one.close(), other.close(), close();
});

const AF_INET = 2, SOCK_STREAM = 1, SOCK_DGRAM = 2;

function newSocket(domain: number, type: number): IpcFd {
  return new IpcFd(libc().c.socket(domain, type | SOCK_CLOEXEC, 0));
}

const NO_SENDERS: Record<string, () => IpcFd> = {
  ...Object.fromEntries(Object.entries(THINGS).filter(([what]) => what !== "a socket")),
  "a TCP socket": () => newSocket(AF_INET, SOCK_STREAM),
  "a UDP socket": () => newSocket(AF_INET, SOCK_DGRAM),
  "a socket that is not connected": () => newSocket(AF_UNIX, SOCK_SEQPACKET),
  "a stream socket that is not connected": () => newSocket(AF_UNIX, SOCK_STREAM),
  "a socket of datagrams that is not connected": () => newSocket(AF_UNIX, SOCK_DGRAM),
  "a socket that listens": () => {
    const name = `@isthmus-test-${crypto.randomUUID()}`;
    return new IpcFd(UnixSocket.listen(name, { type: "seqpacket" }).takeFd());
  },
};

for (const [what, make] of Object.entries(NO_SENDERS)) {
  test(`A sender that is ${what} fails at its first use, whichever that is`, async () => {
    for (const [way, use] of Object.entries(USES)) {
      const sender = arrived(make(), 2, 65_536);
      const code = await codeOf(() => use(sender));
      assertEquals(code, "Corrupt", way);
      assert(sender.closed, way);
      assertEquals(await codeOf(() => use(sender)), "Closed", way);
      sender.close();
    }
    await turn(); // some are closed by another thread
  });
}

test("A sender that is the end of a stream, or of datagrams, is Corrupt, and nothing is sent by it", async () => {
  for (const type of [SOCK_STREAM, SOCK_DGRAM]) {
    for (const use of Object.values(USES)) {
      const fds = new Int32Array(2);
      assertEquals(libc().c.socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds), 0);
      const sender = arrived(new IpcFd(fds[1]!), 2, 65_536), peer = new IpcFd(fds[0]!);
      assertEquals(await codeOf(() => use(sender)), "Corrupt");
      assert(peekBytes(peer.fd, new Uint8Array(1)) <= 0);
      peer.close(), sender.close();
    }
  }
});

test("A relay is told of a message with a damaged sender, and its channels go on", async () => {
  const { sender, receiver, ring, close } = openChannel<unknown>();
  const [onward, end] = channel<unknown>();
  for (const [what, make] of Object.entries(NO_SENDERS)) {
    const fd = make(), mark = Uint8Array.of(0xd8, 27, ...encodeCbor(["isthmus", "sender", 0, 2, 65_536]));
    assert(ring.trySend(Message.of(mark), [fd.fd]));
    fd.close(), sender.sendSync("next");
    for (let n = 0; n < 2; n++) {
      using message = await receiver.recvEncoded();
      for (let times = 0; times < 2; times++) {
        assertEquals(await codeOf(() => onward.sendEncodedSync(message)), n === 0 ? "Serialization" : "none", what);
      }
    }
    assertEquals(end.recvMany(), ["next", "next"]);
  }
  close(), onward.close(), end.close();
  await turn(); // some are closed by another thread
});

// --- What stands in its queue ------------------------------------------------------------------------------------------

const bell = () => THINGS["the ringing end of a pipe"]!();

/** A sender's handle, made of an honest one. */
function handle(change: (fds: IpcFd[]) => IpcFd[] = (fds) => fds): IpcFd[] {
  const fds = growth(), rest = fds.splice(3);
  for (const fd of fds) fd.close();
  return change(rest);
}

const REPLIES: Record<string, (peer: IpcFd) => unknown> = {
  "one byte": (peer) => send(peer, new Uint8Array(1)),
  "15 bytes": (peer) => send(peer, packet(BELL, 1).subarray(0, 15), [bell()]),
  "17 bytes": (peer) => send(peer, packet(BELL, 1, new Uint8Array(1)), [bell()]),
  "100 KB": (peer) => send(peer, packet(BELL, 1, new Uint8Array(100_000)), [bell()]),
  "a kind that is none": (peer) => send(peer, packet(77, 0)),
  "a post": (peer) => send(peer, packet(POST, 1, new Uint8Array(1))),
  "a bell without a descriptor": (peer) => send(peer, packet(BELL, 1)),
  "a bell of two": (peer) => send(peer, packet(BELL, 1), [bell(), bell()]),
  "two bells": (peer) => (send(peer, packet(BELL, 1), [bell()]), send(peer, packet(BELL, 1), [bell()])),
  "253 descriptors": (peer) => send(peer, packet(BELL, 1), Array.from({ length: 253 }, bell)),
  "a ring without descriptors": (peer) => send(peer, packet(RING, 3)),
  "a ring of two": (peer) => send(peer, packet(RING, 3), [bell(), bell()]),
  "a ring of four": (peer) => send(peer, packet(RING, 3), [...handle(), bell()]),
  "a ring, its descriptors in another order": (peer) => send(peer, packet(RING, 3), handle((fds) => fds.reverse())),
  "a ring of memory without seals": (peer) =>
    send(peer, packet(RING, 3), handle((fds) => withOther(fds, 0, ringFile(1024, () => {}, 0)))),
  "a ring of memory that may shrink": (peer) =>
    send(peer, packet(RING, 3), handle((fds) => withOther(fds, 0, ringFile(1024, () => {}, RING_SEALS & ~2)))),
  "a ring of empty memory": (peer) =>
    send(peer, packet(RING, 3), handle((fds) => withOther(fds, 0, ringFile(1024, (header) => header.fill(0))))),
};
for (const [what, make] of Object.entries(THINGS)) {
  if (what !== "the ringing end of a pipe") {
    REPLIES[`a bell that is ${what}`] = (peer) => send(peer, packet(BELL, 1), [make()]);
    REPLIES[`a ring whose bell is ${what}`] = (peer) =>
      send(peer, packet(RING, 3), handle((fds) => withOther(fds, 1, make())));
  }
  REPLIES[`a ring whose memory is ${what}`] = (peer) =>
    send(peer, packet(RING, 3), handle((fds) => withOther(fds, 0, make())));
  if (what !== "a socket") {
    REPLIES[`a ring whose socket is ${what}`] = (peer) =>
      send(peer, packet(RING, 3), handle((fds) => withOther(fds, 2, make())));
  }
}

for (const [what, attack] of Object.entries(REPLIES)) {
  test(`A sender without a ring whose peer sends ${what} is closed with an error, whatever it is used for`, async () => {
    for (const gone of [false, true]) {
      for (const [way, use] of Object.entries(USES)) {
        const { sender, peer } = victim();
        attack(peer);
        if (gone) peer.close();
        const code = await codeOf(() => use(sender));
        assert(["Corrupt", "Incompatible"].includes(code), `${way}: ${code}`);
        assert(sender.closed, way);
        assertEquals(await codeOf(() => use(sender)), "Closed", way);
        peer.close(), sender.close();
      }
    }
  });

  test(`After a post ${what} is not an error of what was sent`, async () => {
    for (const [way, use] of Object.entries(USES)) {
      const { sender, peer } = victim();
      sender.sendSync(0);
      attack(peer);
      const code = await codeOf(() => use(sender));
      assert(["Corrupt", "Incompatible"].includes(code), `${way}: ${code}`);
      peer.close(), sender.close();
    }
  });
}

lookingTest("A bell that is a FIFO with a name is refused, without being opened", async () => {
  const path = `${Deno.makeTempDirSync({ prefix: "isthmus-test-" })}/fifo`;
  assert((await new Deno.Command("mkfifo", { args: [path] }).output()).success);
  const { sender, peer } = victim();
  const fifo = new IpcFd(libc().c.open(new TextEncoder().encode(path + "\0"), O_RDWR | O_CLOEXEC, 0));
  const end = new IpcFd(libc().c.open(new TextEncoder().encode(path + "\0"), 1 | O_CLOEXEC, 0));
  send(peer, packet(BELL, 1), [end]);
  assertIpcErrorSync("Corrupt", () => sender.sendSync(1));
  assert(sender.closed);
  fifo.close(), peer.close();
  Deno.removeSync(path.slice(0, -5), { recursive: true });
});

test("What comes while a message is sent is no error of it: the next use says so, or is not hurt", async () => {
  for (const [what, attack] of Object.entries(REPLIES)) {
    const { sender, peer } = victim();
    setStepHook((step) => {
      if (step === "posted") attack(peer);
    });
    sender.sendSync(0);
    setStepHook(undefined);
    const code = await codeOf(() => sender.sendSync(1));
    assert(["Corrupt", "Incompatible", "Closed"].includes(code), `${what}: ${code}`);
    peer.close(), sender.close();
  }
  await new Promise((resolve) => setTimeout(resolve, 30)); // another look that was meant to come
});

test("What comes while a ring is handed over is no error, or that of the peer, gone or not", async () => {
  for (const [what, attack] of Object.entries(REPLIES)) {
    for (const gone of [false, true]) {
      const { sender, peer } = victim();
      setStepHook((step) => {
        if (step !== "growing") return;
        attack(peer);
        if (gone) peer.close();
      });
      const code = await codeOf(() => sender.sendSync(new Uint8Array(2000)));
      setStepHook(undefined);
      assert((gone ? ["Corrupt", "Incompatible"] : ["none"]).includes(code), `${what}: ${code}`);
      if (gone) assert(sender.closed, what);
      peer.close(), sender.close();
    }
  }
});

test("A peer that takes nothing, or gives nothing, costs a bounded time, and its sender is as it was", async () => {
  const { c } = libc();
  const silences: Record<string, (peer: IpcFd) => void> = {
    "nothing at all": () => {},
    "a bell": (peer) => send(peer, packet(BELL, 1), [bell()]),
    "empty packets": (peer) => {
      while (send(peer, new Uint8Array(0)) >= 0 && count++ < 100_000);
    },
  };
  let count = 0;
  for (const [what, attack] of Object.entries(silences)) {
    for (const posted of [false, true]) {
      const { sender, peer } = victim();
      if (posted) sender.sendSync(0);
      c.shutdown(peer.fd, SHUT_RD);
      attack(peer);
      for (let times = 0; times < 2 && !sender.closed; times++) {
        const began = performance.now(), code = await codeOf(() => sender.sendSync(1));
        assert(["System", "Corrupt"].includes(code), `${what}: ${code}`);
        assert(performance.now() - began < patience(1500), `${what}: ${performance.now() - began} ms`);
      }
      if (!sender.closed) {
        peer.close();
        assertIpcErrorSync("Disconnected", () => sender.sendSync(1));
      }
      peer.close(), sender.close();
    }
  }
});

test("Many senders whose receivers stopped while they made a ring cost little more than one", async () => {
  for (const send of [USES["sendSync()"]!, USES["trySend() of more"]!, USES["send()"]!]) {
    const began = performance.now();
    for (let n = 0; n < 20; n++) {
      const { sender, peer } = victim();
      libc().c.shutdown(peer.fd, SHUT_RD);
      assertEquals(await codeOf(() => send(sender)), "System");
      sender.close(), peer.close();
    }
    assert(performance.now() - began < patience(1000), `${performance.now() - began} ms`);
  }
});

test("Garbage without end, after a peer takes no more, is Corrupt at once", () => {
  for (const reply of [packet(77, 0), packet(POST, 0), packet(BELL, 1)]) {
    const { sender, peer } = victim();
    libc().c.shutdown(peer.fd, SHUT_RD);
    while (send(peer, reply, reply[0] === BELL ? [bell()] : []) > 0);
    const began = performance.now();
    assertIpcErrorSync("Corrupt", () => sender.sendSync(1));
    assert(performance.now() - began < patience(50));
    peer.close(), sender.close();
  }
});

test("A sender whose socket a peer has filled by a copy of it is Corrupt", async () => {
  for (const [way, use] of Object.entries(USES)) {
    const [peer, socket] = socketPair("seqpacket"), copy = socket.clone();
    while (send(copy, packet(POST, 0)) > 0);
    const sender = arrived(socket, 2, 65_536);
    assertEquals(await codeOf(() => use(sender)), "Corrupt", way);
    assert(sender.closed);
    peer.close(), copy.close(), sender.close();
  }
});

test("A sender whose peer makes its socket block does not block", () => {
  const [peer, socket] = socketPair("seqpacket"), copy = socket.clone();
  const sender = arrived(socket, 2, 65_536);
  libc().c.fcntl(copy.fd, 4, 0); // F_SETFL: without O_NONBLOCK
  sender.sendSync(1);
  sender.sendSync(2);
  while (sender.trySend(new Uint8Array(1000)));
  sender.close(), peer.close(), copy.close();
});

test("A bell that is full and blocks does not hold up a sender", () => {
  const { sender, peer } = victim();
  const fds = new Int32Array(2);
  assertEquals(libc().c.pipe2(fds, O_CLOEXEC), 0);
  const listen = new IpcFd(fds[0]!), ring = new IpcFd(fds[1]!);
  for (let i = 0; i < 16; i++) ring.writeSync(new Uint8Array(4096));
  send(peer, packet(BELL, 1), [ring]);
  sender.sendSync(1), sender.sendSync(2);
  for (const end of [sender, peer, listen]) end.close();
});
