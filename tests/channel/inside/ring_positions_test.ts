import { assert, assertEquals } from "@std/assert";
import {
  CLAIM_BLOCKS,
  CLAIM_POSITION,
  SLOT_WORDS,
  SLOTS,
  W_BELL,
  W_COMMIT,
  W_HEAD,
  W_NAMESPACE,
  W_READ,
  W_SLOTS,
  W_TAIL,
} from "../../../channel/ring/layout.ts";
import { setStepHook } from "../../../base/step_hook.ts";
import { bytesSenderFrom, IpcBytesSender } from "../../../channel/endpoint/bytes_sender.ts";
import { SenderPort } from "../../../channel/endpoint/sender_port.ts";
import { RingConsumer } from "../../../channel/ring/consumer.ts";
import { createChannel } from "../../../channel/ring/handle.ts";
import { RingProducer } from "../../../channel/ring/producer.ts";
import { openChannel } from "../../support/open_channel.ts";
import { RingMemory } from "../../../channel/ring/memory.ts";
import { IpcFd } from "../../../ffi/file/fd.ts";
import { cString, libc } from "../../../ffi/libc/libc.ts";
import { O_CLOEXEC, O_RDWR } from "../../../ffi/libc/platform.ts";
import { IpcBytesReceiver } from "../../../mod.ts";
import { folderTest } from "../../support/folder.ts";
import { assertIpcErrorSync, soon } from "../../support/assert_ipc.ts";
import { test } from "../../support/test.ts";

for (const claimed of [2 ** 31 - 500, 2 ** 31 + 1000, 2 ** 32 - 2000]) {
  test(`A sender that was idle while others claimed ${claimed} blocks finds a full ring full`, async () => {
    const { sender, memory, close } = openChannel<number>(65_536);
    try {
      assert(sender.trySend(1));
      for (const idle of ["a turn of the event loop", "no time"]) {
        if (idle !== "no time") await new Promise((resolve) => setTimeout(resolve));
        const { words, blocks } = memory;
        for (const at of [W_HEAD, W_READ]) Atomics.store(words, at, claimed | 0);
        Atomics.store(words, W_TAIL, (claimed + blocks) | 0);
        assertEquals(sender.trySend(1), false);
        assertEquals((Atomics.load(words, W_TAIL) - Atomics.load(words, W_HEAD)) | 0, blocks);
        for (const at of [W_HEAD, W_READ, W_TAIL]) Atomics.store(words, at, 0);
        assert(sender.trySend(1));
      }
    } finally {
      close();
    }
  });
}

/** Bytes from the beginning of the ring's data that were ever written to. */
function touched(memory: RingMemory): number {
  const once = memory.dataWords.subarray(0, memory.dataWords.length / 2); // it is mapped twice
  return once.findLastIndex((word) => word !== 0) * 4;
}

for (const backlog of [1, 30]) {
  test(`With ${backlog} messages under way senders stay in the ring's first half, and nothing is lost or out of order`, () => {
    const { sender, memory, receiver, close } = openChannel<Uint8Array>(16 << 20);
    try {
      const message = new Uint8Array(10_000);
      for (let i = 0; i < 4000; i++) {
        new DataView(message.buffer).setUint32(message.length - 4, i);
        sender.sendSync(message);
        if (i < backlog) continue;
        const got = receiver.recvSync();
        assertEquals(new DataView(got.buffer, got.byteOffset).getUint32(got.length - 4), i - backlog);
      }
      assert(
        touched(memory) < 10 << 20,
        `memory up to ${touched(memory)} was used, though 300 kB were under way at most`,
      );
    } finally {
      close();
    }
  });
}

test("A channel that is found empty now and then stays in the ring's first blocks, and all of it has room afterwards", () => {
  const { sender, memory, receiver, close } = openChannel<Uint8Array>(16 << 20);
  try {
    const message = new Uint8Array(10_000).fill(1);
    for (let i = 0; i < 4000; i++) {
      sender.sendSync(message);
      receiver.recvSync();
      if (i % 7 === 0) assertEquals(receiver.tryRecv(), { state: "empty" });
    }
    assert(
      touched(memory) < 512 << 10,
      `memory up to ${touched(memory)} was used, though 10 kB were under way at most`,
    );
    assertEquals(receiver.tryRecv(), { state: "empty" });
    let sent = 0;
    while (sender.trySend(message)) sent++;
    assert(sent * 10_048 > (16 << 20) - 20_000, `${sent} fit`);
    assertEquals(receiver.recvMany().length, sent);
  } finally {
    close();
  }
});

test("A receiver that polls for the next message goes back to the ring's first blocks", () => {
  const parts = createChannel(4 << 20);
  const memory = parts.memory.retain(), { words } = memory;
  const ring = RingProducer.create(parts.memory, parts.senderBell, parts.senderSocket);
  const consumer = RingConsumer.create(parts.memory, parts.receiverBell, parts.receiverSocket);
  const sender = bytesSenderFrom(SenderPort.of(ring));
  try {
    const send = (times: number) => {
      for (let i = 0; i < times; i++) {
        sender.sendSync(new Uint8Array(10_000)), assert(consumer.next());
        consumer.release();
      }
    };
    send(40);
    const before = Atomics.load(words, W_TAIL);
    {
      using _loan = sender.reserveSync(100);
      assertEquals(consumer.wait.spinForNext(), false);
      assertEquals(Atomics.load(words, W_TAIL), before + 2, "a message is on its way");
    }
    assertEquals(consumer.next(), false, "the loan was given up");
    assertEquals(consumer.wait.spinForNext(), false);
    assertEquals(Atomics.load(words, W_TAIL), memory.blocks);
    assertEquals(Atomics.load(words, W_HEAD), memory.blocks, "what it passes over is free at once");
    send(1);
    assertEquals(consumer.wait.spinForNext(), false);
    assertEquals(Atomics.load(words, W_TAIL), memory.blocks + 157, "these are the first ones");
  } finally {
    sender.close(), consumer.close(), memory.release();
  }
});

for (const receiverDoes of ["polls", "is busy", "sleeps"] as const) {
  const waits = { "polls": "stays in the ring's first blocks", "is busy": "seldom waits", "sleeps": "never waits" };
  test(`A sender ${waits[receiverDoes]} if the receiver, a message behind, ${receiverDoes}`, () => {
    const { sender, memory, receiver, close } = openChannel<Uint8Array>(16 << 20);
    let sent = 0, received = 0, waited = 0;
    const receiveUpTo = (count: number) => {
      for (; received < count; received++) {
        const got = receiver.recvSync();
        assertEquals(new DataView(got.buffer, got.byteOffset).getUint32(got.length - 4), received);
      }
    };
    setStepHook((step) => {
      if (step !== "awaiting rewind") return;
      waited++;
      if (receiverDoes !== "polls") return;
      receiveUpTo(sent);
      assertEquals(receiver.tryRecv(), { state: "empty" });
    });
    try {
      const message = new Uint8Array(10_000);
      while (sent < 4000) {
        new DataView(message.buffer).setUint32(message.length - 4, sent);
        if (receiverDoes === "sleeps") Atomics.store(memory.words, W_BELL, 1);
        sender.sendSync(message);
        receiveUpTo(sent++);
      }
      const used = touched(memory), limits = { "polls": 512 << 10, "is busy": 10 << 20, "sleeps": 10 << 20 };
      assert(used < limits[receiverDoes], `memory up to ${used} was used, though 20 kB were under way at most`);
      const [least, most] = { "polls": [50, 100], "is busy": [3, 12], "sleeps": [0, 0] }[receiverDoes]!;
      assert(waited >= least! && waited <= most!, `it waited ${waited} times`);
    } finally {
      setStepHook(undefined);
      close();
    }
  });
}

test("A sender does not wait for a receiver that has had a large message for a while", () => {
  const { sender, receiver, close } = openChannel<Uint8Array>(32 << 20);
  let waited = 0;
  setStepHook((step) => step === "awaiting rewind" && waited++);
  try {
    for (let i = 0; i < 40; i++) {
      sender.sendSync(new Uint8Array(1 << 20));
      for (const sent = performance.now(); performance.now() - sent <= 0.01;);
      if (i > 0) receiver.recvSync();
    }
    assertEquals(waited, 0);
  } finally {
    setStepHook(undefined);
    close();
  }
});

test("Large messages go back to the ring's first blocks where they would lie across its end", () => {
  const { sender, memory, receiver, close } = openChannel<Uint8Array>(16 << 20);
  try {
    const message = new Uint8Array(6 << 20).fill(1);
    for (let i = 0; i < 40; i++) {
      message[0] = i;
      sender.sendSync(message);
      if (i === 0) continue;
      using borrowed = receiver.borrowSync();
      assertEquals(borrowed.value[0], i - 1);
    }
    assert(touched(memory) < 13 << 20, `memory up to ${touched(memory)} was used, for two messages of 6 MiB`);
  } finally {
    close();
  }
});

test("Large messages of any lengths arrive in order, and a channel that has no room is half full at least", () => {
  const capacity = 8 << 20, { sender, receiver, close } = openChannel<Uint8Array>(capacity);
  try {
    const message = new Uint8Array(capacity / 2), waiting: number[] = [];
    let seed = 1, taken = 0, full = 0;
    const below = (n: number) => (seed = (seed * 48_271) % 0x7fff_ffff) % n;
    for (let n = 0; n < 2000; n++) {
      const length = n % 3 === 0 ? 1000 : 300_000 + below(message.length - 300_000);
      message[0] = length;
      if (sender.trySend(message.subarray(0, length))) {
        waiting.push(length), taken += length;
        if (below(3) > 0) continue;
      } else {
        full++;
        assert(taken + length > capacity / 2 - 1000, `no room for ${length} bytes beside ${taken}`);
      }
      for (let times = 1 + below(waiting.length); times > 0 && waiting.length > 0; times--) {
        using borrowed = receiver.borrowSync();
        const expected = waiting.shift()!;
        assertEquals([borrowed.value.length, borrowed.value[0]], [expected, expected & 0xff]);
        taken -= expected;
      }
    }
    assert(full > 100, `it was full ${full} times`);
  } finally {
    close();
  }
});

for (const capacity of [1 << 20, 4 << 20, 16 << 20]) {
  test(`Half of a channel of ${capacity} bytes has room at any time, whatever went through it before`, async () => {
    const { sender, receiver, close } = openChannel<Uint8Array>(capacity);
    try {
      const message = new Uint8Array(1000);
      for (let history = 0; history < 40; history++) {
        for (let i = 0; i < history % 3; i++) sender.sendSync(message);
        for (let i = 0; i < (history * 997) % (2 * capacity / 1024); i++) sender.sendSync(message), receiver.recvSync();
        if (history % 2 === 0) await new Promise((resolve) => setTimeout(resolve));
        let sent = 0;
        while (sender.trySend(message)) sent++;
        assert(sent * 1024 >= capacity / 2 - 4096, `after ${history} only ${sent} messages fit`);
        assertEquals(receiver.recvMany().length, sent + history % 3);
      }
    } finally {
      close();
    }
  });
}

test("A loan that loses the race back to the first blocks leaves no claim record but its own", async () => {
  const { port, receiver, memory, close } = openChannel<number>(4 << 20);
  const sender = bytesSenderFrom(port.retain());
  const { compareExchange } = Atomics;
  try {
    for (const count of [32_700, 100]) { // past the middle of the ring, without a look there
      for (let i = 0; i < count; i++) sender.sendSync(Uint8Array.of(1)), receiver.recvSync();
      await new Promise((resolve) => setTimeout(resolve)); // the next claim looks at the positions
    }
    const { words } = memory;
    const head = Atomics.load(words, W_HEAD);
    assertEquals(head, 32_800);
    let lost = 0;
    // deno-lint-ignore no-explicit-any
    (Atomics as any).compareExchange = (array: Int32Array, at: number, expected: number, wanted: number) => {
      if (array === words && at === W_TAIL && lost++ === 0) Atomics.add(words, W_TAIL, 3); // another sender's claim
      return compareExchange(array, at, expected, wanted);
    };
    const loan = sender.reserveSync(10);
    Atomics.compareExchange = compareExchange;
    assert(lost >= 2, "the race was lost once, and a claim made after it");
    const noted = [];
    for (let slot = W_SLOTS; slot < W_SLOTS + SLOTS * SLOT_WORDS; slot += SLOT_WORDS) {
      if (words[slot + CLAIM_BLOCKS]! > 0 && words[slot + CLAIM_POSITION]! >= head) {
        noted.push(words[slot + CLAIM_BLOCKS]);
      }
    }
    assertEquals(noted, [1]);
    loan[Symbol.dispose]();
  } finally {
    Atomics.compareExchange = compareExchange;
    sender.close(), close();
  }
});

for (const namespaces of ["one PID namespace", "several PID namespaces"]) {
  test(`All slots of a ring in ${namespaces} can be lent, one more is refused, and each is used by one loan`, () => {
    const { port, receiver, memory, close } = openChannel<number>(1 << 20);
    const sender = bytesSenderFrom(port.retain());
    try {
      if (namespaces !== "one PID namespace") memory.words[W_NAMESPACE] = 0;
      const loans = Array.from({ length: SLOTS - 1 }, () => sender.reserveSync(1));
      assertIpcErrorSync("System", () => sender.reserveSync(1));
      const noted = new Set<number>();
      for (let slot = W_SLOTS; slot < W_SLOTS + SLOTS * SLOT_WORDS; slot += SLOT_WORDS) {
        if (memory.words[slot + CLAIM_BLOCKS]! > 0) noted.add(memory.words[slot + CLAIM_POSITION]!);
      }
      assertEquals(noted.size, loans.length);
      for (const loan of loans) {
        loan.bytes[0] = 0;
        loan.commit();
      }
      assertEquals(receiver.recvMany().length, loans.length);
    } finally {
      sender.close(), close();
    }
  });
}

folderTest(
  "A sender that is idle while 2^32 blocks are claimed does not hold up the gap of one that died there",
  async (
    { channel: path },
  ) => {
    const first = IpcBytesReceiver.create(path);
    using idle = IpcBytesSender.open(path);
    await idle.send(Uint8Array.of(1));
    assertEquals(first.recvSync({ timeout: 0 }), Uint8Array.of(1));
    first.close();

    // Positions have come round, and another sender died with a claim of the block that the idle one had, before a message.
    const memory = RingMemory.attachFile(new IpcFd(libc().c.open(cString(path), O_RDWR | O_CLOEXEC, 0)), "Cannot test");
    const { words } = memory;
    for (const at of [W_HEAD, W_READ]) Atomics.store(words, at, 0);
    Atomics.store(words, W_TAIL, 2);
    Atomics.store(words, W_COMMIT + 1, 1);
    using second = IpcBytesReceiver.create(path);
    assertEquals(await soon(second.recv()), new Uint8Array(0));
    memory.release();
  },
);
