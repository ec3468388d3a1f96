// Whatever a program awaits in a loop, timers, signals and I/O of others get their turn.
import { assert, assertEquals } from "@std/assert";
import {
  bytesChannel,
  channel,
  duplex,
  IpcArc,
  IpcReceiver,
  IpcReceiverSet,
  IpcRouter,
  IpcServer,
  recvFds,
  sendFds,
  UnixSocket,
} from "../../../mod.ts";
import { openChannel } from "../../support/open_channel.ts";
import { Message } from "../../../channel/message/outgoing.ts";
import { patience } from "../../support/patience.ts";
import { test } from "../../support/test.ts";

/** What is awaited again and again, and never without an outcome; and what ends it. */
interface Loop {
  turn(): unknown;
  close(): void;
}

/** A channel whose receiver always finds a message. */
function flooded<T>(value: T) {
  const [sender, receiver] = channel<T>({ capacity: 65_536 });
  const fill = () => {
    while (sender.trySend(value));
  };
  return { sender, receiver, fill, close: () => (sender.close(), receiver.close()) };
}

const LOOPS: Record<string, () => Loop> = {
  "send()": () => {
    const [sender, receiver] = channel<number>();
    return {
      turn: async () => (await sender.send(1), receiver.tryRecv()),
      close: () => (sender.close(), receiver.close()),
    };
  },
  "sendWhenEmpty()": () => {
    const [sender, receiver] = channel<number>();
    return {
      turn: async () => (await sender.sendWhenEmpty(1), receiver.tryRecv()),
      close: () => (sender.close(), receiver.close()),
    };
  },
  "a writable stream's write()": () => {
    const [sender, receiver] = channel<number>();
    const writer = sender.toWritableStream().getWriter();
    return {
      turn: async () => (await writer.write(1), receiver.tryRecv()),
      close: () => (sender.close(), receiver.close()),
    };
  },
  "reserve()": () => {
    const [sender, receiver] = bytesChannel();
    return {
      turn: async () => ((await sender.reserve(8)).commit(), receiver.tryRecv()),
      close: () => (sender.close(), receiver.close()),
    };
  },
  "send() that fails": () => {
    const [sender, receiver] = channel<number>();
    receiver.close();
    return { turn: () => sender.send(1).catch(() => {}), close: () => sender.close() };
  },
  "recv()": () => {
    const { receiver, fill, close } = flooded("x");
    return { turn: async () => (fill(), await receiver.recv()), close };
  },
  "recv() of what cannot be decoded": () => {
    const { receiver, ring, close } = openChannel<unknown>();
    const junk = Message.of(new Uint8Array([0x1c]));
    return {
      turn: async () => {
        while (ring.trySend(junk));
        await receiver.recv().catch(() => {});
      },
      close,
    };
  },
  "recv({ timeout: 0 })": () => {
    const [sender, receiver] = channel<number>();
    return {
      turn: () => receiver.recv({ timeout: 0 }).catch(() => {}),
      close: () => (sender.close(), receiver.close()),
    };
  },
  "recv() of a closed receiver": () => {
    const [sender, receiver] = channel<number>();
    receiver.close();
    return { turn: () => receiver.recv().catch(() => {}), close: () => sender.close() };
  },
  "borrow()": () => {
    const { receiver, fill, close } = flooded("x");
    return { turn: async () => (fill(), (await receiver.borrow()).release()), close };
  },
  "recvInto()": () => {
    const [sender, receiver] = bytesChannel();
    const target = new Uint8Array(8);
    return {
      turn: async () => (sender.sendSync(target), await receiver.recvInto(target)),
      close: () => (sender.close(), receiver.close()),
    };
  },
  "for await of a receiver": () => {
    const { receiver, fill, close } = flooded("x");
    const values = receiver.values();
    return { turn: async () => (fill(), await values.next()), close };
  },
  "a readable stream's read()": () => {
    const { receiver, fill, close } = flooded("x");
    const reader = receiver.toReadableStream().getReader();
    return { turn: async () => (fill(), await reader.read()), close };
  },
  "select()": () => {
    const { sender, receiver } = flooded("x");
    const set = new IpcReceiverSet();
    set.add(receiver);
    return { turn: async () => (sender.trySend("x"), await set.select()), close: () => (sender.close(), set.close()) };
  },
  "for await of a set": () => {
    const { sender, receiver } = flooded("x");
    const set = new IpcReceiverSet();
    set.add(receiver);
    const events = set.values();
    return { turn: async () => (sender.trySend("x"), await events.next()), close: () => (sender.close(), set.close()) };
  },
  "two loops at the same channel": () => {
    const { receiver, fill, close } = flooded("x");
    return { turn: async () => (fill(), await Promise.race([receiver.recv(), receiver.recv()])), close };
  },
  "acquire()": () => {
    const arc = IpcArc.create(`loop-${crypto.randomUUID()}`, 0);
    return { turn: async () => (await arc.acquire()).release(), close: () => arc.close() };
  },
  "update()": () => {
    const arc = IpcArc.create(`loop-${crypto.randomUUID()}`, 0);
    return { turn: () => arc.update((n) => n + 1), close: () => arc.close() };
  },
  "watch()": () => {
    const arc = IpcArc.create(`loop-${crypto.randomUUID()}`, 0);
    const changes = arc.watch()[Symbol.asyncIterator]();
    return { turn: async () => (arc.updateSync((n) => n + 1), await changes.next()), close: () => arc.close() };
  },
  "sendFds() and recvFds()": () => {
    const [here, there] = UnixSocket.pair();
    const byte = new Uint8Array(1);
    return {
      turn: async () => (await sendFds(here, byte, []), await recvFds(there, 1)),
      close: () => (here.close(), there.close()),
    };
  },
  "UnixSocket.accept()": () => {
    const name = `@loop-${crypto.randomUUID()}`;
    const server = UnixSocket.listen(name);
    return {
      turn: async () => {
        const client = UnixSocket.connect(name);
        (await server.accept()).close();
        client.close();
      },
      close: () => server.close(),
    };
  },
  "IpcServer.accept()": () => {
    const server = new IpcServer<number, number>({ capacity: 65_536 });
    return {
      turn: async () => {
        const client = IpcServer.connect(server.name);
        (await server.accept()).close();
        client.close();
      },
      close: () => server.close(),
    };
  },
  "duplex.run()": () => {
    const [asking, answering] = duplex<number, number>();
    const running = answering.run((n) => n);
    return {
      turn: async () => (await asking.send(1), await asking.recv()),
      close: () => (asking.close(), answering.close(), void running),
    };
  },
};

/** Round trips over TCP within this process. */
class Echo {
  trips = 0;
  #over = false;
  readonly #done: Promise<unknown>;

  constructor() {
    const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    const buffer = new Uint8Array(64);
    const serving = async () => {
      const connection = await listener.accept();
      listener.close();
      for (let n = await connection.read(buffer); n !== null; n = await connection.read(buffer)) {
        await connection.write(buffer.subarray(0, n));
      }
      connection.close();
    };
    const asking = async () => {
      const connection = await Deno.connect({ port: (listener.addr as Deno.NetAddr).port });
      for (; !this.#over; this.trips++) {
        await connection.write(new Uint8Array(8));
        await connection.read(new Uint8Array(8));
      }
      connection.close();
    };
    this.#done = Promise.all([serving(), asking()]);
  }

  async close(): Promise<void> {
    this.#over = true;
    await this.#done;
  }
}

const mayNet = Deno.permissions.querySync({ name: "net" }).state === "granted";

for (const [name, make] of Object.entries(LOOPS)) {
  for (const work of [0, 1]) {
    test(`Timers and I/O get their turn beside ${name} in a loop, with ${work} ms of work each`, async () => {
      const loop = make();
      const echo = mayNet ? new Echo() : undefined;
      let ticks = 0;
      const ticking = setInterval(() => ticks++, 5);
      try {
        const begin = performance.now();
        while (ticks < 5 || (echo !== undefined && echo.trips < 5)) {
          await loop.turn();
          for (const until = performance.now() + work; performance.now() < until;);
          assert(performance.now() - begin < patience(20_000), `${ticks} ticks, ${echo?.trips} round trips in 20 s`);
        }
      } finally {
        clearInterval(ticking);
        loop.close();
        await echo?.close();
      }
    });
  }
}

test("A program gives way by the clock: with 5 ms of work a message, a timer is not late by many of them", async () => {
  const { receiver, fill, close } = flooded("x");
  fill();
  const late: number[] = [];
  let due = performance.now() + 10;
  const ticking = setInterval(() => {
    late.push(performance.now() - due);
    due = performance.now() + 10;
  }, 10);
  for (let n = 0; n < 60; n++) {
    await receiver.recv();
    for (const until = performance.now() + 5; performance.now() < until;);
  }
  clearInterval(ticking);
  assert(late.length >= 3, `${late.length} ticks in 300 ms`);
  assert(Math.max(...late.slice(2)) < patience(250), `late by ${late}`);
  close();
});

test("A router whose handlers take their time gives way between the messages of one member", async () => {
  using router = new IpcRouter();
  const [sender, receiver] = channel<number>();
  for (let n = 0; n < 32; n++) sender.sendSync(n);
  const order: (number | string)[] = [];
  const done = Promise.withResolvers<void>();
  router.route(receiver, (n) => {
    for (const until = performance.now() + 5; performance.now() < until;);
    order.push(n);
    if (n === 31) done.resolve();
  });
  setTimeout(() => order.push("timer"), 0);
  await done.promise;
  const at = order.indexOf("timer");
  assert(at >= 0 && at < 31, `the timer came ${at} of 32`);
  assertEquals(order.filter((item) => item !== "timer"), Array.from({ length: 32 }, (_, n) => n));
  sender.close();
});

test("While the event loop has its turn, a message stays where it is", async () => {
  const { receiver, fill, close } = flooded("x");
  fill();
  // Until a recv() is made to wait for the event loop.
  for (let pending = true; pending;) {
    for (const until = performance.now() + 11; performance.now() < until;);
    const state = { settled: false };
    const waiting = receiver.recv().then(() => state.settled = true);
    await Promise.resolve();
    pending = state.settled;
    if (pending) await waiting;
    else {
      const values = receiver.values();
      const next = values.next();
      assertEquals(await values.return!(), { done: true, value: undefined });
      assertEquals(await next, { done: true, value: undefined });
      const before = receiver.recvMany(5).length;
      assertEquals(before, 5, "what blocks, or does not wait, need not wait for it");
      await waiting;
    }
  }
  close();
});

test("A recv() with a signal or a time-out that is made to wait for the event loop keeps to it", async () => {
  const path = `/dev/shm/isthmus-loop-${crypto.randomUUID()}`;
  using receiver = IpcReceiver.create<number>(path);
  for (const until = performance.now() + 11; performance.now() < until;);
  const abort = new AbortController();
  const waiting = receiver.recv({ signal: abort.signal }).catch((error) => error);
  abort.abort("enough");
  assertEquals(await waiting, "enough");
  const begin = performance.now();
  const error = await receiver.recv({ timeout: 20 }).catch((error) => error);
  assertEquals(error.code, "Timeout");
  assert(performance.now() - begin >= 19);
});
