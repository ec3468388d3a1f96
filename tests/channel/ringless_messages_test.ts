// A channel whose sender is sent away first begins without a ring: every message arrives, in whatever way it is received.
import { assert, assertEquals } from "@std/assert";
import {
  channel,
  type IpcBytesReceiver,
  type IpcBytesSender,
  IpcFd,
  type IpcReceiver,
  IpcReceiverSet,
  IpcRouter,
  IpcSender,
  UnixSocket,
} from "../../mod.ts";
import { assertIpcError, soon } from "../support/assert_ipc.ts";
import { patience } from "../support/patience.ts";
import { bytesSentAway, ringsOpen, sentAway, times, turn } from "../support/sent_away.ts";
import { processTest, test } from "../support/test.ts";

const LONG = patience(20_000);

processTest("The sender takes one descriptor where it arrives, and one small message makes no ring", async () => {
  const before = ringsOpen();
  using away = sentAway<string>(), bytes = bytesSentAway();
  const waiting = away.receiver.recv();
  away.there.sendSync("small");
  bytes.there.sendSync(new Uint8Array(1024));
  assertEquals(await soon(waiting), "small");
  assertEquals(bytes.receiver.recvSync({ timeout: 0 }).length, 1024);
  assertEquals(ringsOpen(), before);
  away.there.sendSync("second"), bytes.there.sendSync(new Uint8Array(1));
  assert(ringsOpen() > before);
  assertEquals([away.receiver.recvSync(), bytes.receiver.recvSync().length], ["second", 1]);
});

// --- Every message, received in every way ------------------------------------------------------------------------------

/** A message, what is to be closed when it has arrived, and what is known of it then. */
type Kind = { make(): [message: unknown, rest?: () => void]; is: unknown };

function ends(): [IpcSender<number>, IpcReceiver<number>] {
  const [sender, receiver] = channel<number>();
  return [sender, receiver];
}

const small = (n: number): Kind => ({ make: () => [n], is: n });
const KINDS: Record<string, Kind[]> = {
  "one small message": [small(1)],
  "many": [1, 2, 3, 4, 5].map(small),
  "a large one": [{ make: () => [new Uint8Array(100_000)], is: 100_000 }],
  "a small one, then a large one": [small(1), { make: () => [new Uint8Array(5_000_000)], is: 5_000_000 }],
  "a receiver": [{
    make() {
      const [sender, receiver] = ends();
      sender.sendSync(7), sender.close();
      return [receiver];
    },
    is: "a receiver of 7",
  }],
  "a sender without a ring, after a small one": [small(1), {
    make() {
      const [sender, receiver] = ends();
      return [sender, () => (sender.close(), receiver.close())];
    },
    is: "a sender",
  }],
  "descriptors": [{
    make() {
      const fds = UnixSocket.pair().map((socket) => new IpcFd(socket.takeFd()));
      return [fds, () => fds.forEach((fd) => fd.close())];
    },
    is: "2 descriptors",
  }],
};

/** What a message is, which is closed by that. */
function look(message: unknown): unknown {
  if (message instanceof Uint8Array) return message.length;
  if (message instanceof IpcSender) {
    message.sendSync(1), message.close();
    return "a sender";
  }
  if (Array.isArray(message)) {
    for (const fd of message) (fd as IpcFd).close();
    return `${message.length} descriptors`;
  }
  if (typeof message === "object") {
    const receiver = message as IpcReceiver<number>, value = receiver.recvSync({ timeout: 0 });
    receiver.close();
    return `a receiver of ${value}`;
  }
  return message;
}

type Receive = (receiver: IpcReceiver<unknown>, count: number) => Promise<unknown[]>;

/** Ways that wait in the event loop. */
const WAITS: Record<string, Receive> = {
  "recv()": (receiver, count) => times(count, async () => look(await receiver.recv())),
  "recv() with a time": (receiver, count) => times(count, async () => look(await receiver.recv({ timeout: LONG }))),
  "several recv() at once": (receiver, count) =>
    Promise.all(Array.from({ length: count }, () => receiver.recv().then(look))),
  "borrow()": (receiver, count) =>
    times(count, async () => {
      using message = await receiver.borrow();
      return look(message.value);
    }),
  "recv() and borrow() in turns": (receiver, count) => {
    let n = 0;
    return times(count, async () => {
      if (n++ % 2 === 0) return look(await receiver.recv());
      using message = await receiver.borrow();
      return look(message.value);
    });
  },
  "for await": async (receiver, count) => {
    const got: unknown[] = [];
    for await (const message of receiver) {
      got.push(look(message));
      if (got.length === count) break;
    }
    return got;
  },
  "a stream": async (receiver, count) => {
    const reader = receiver.toReadableStream().getReader();
    const got = await times(count, async () => look((await reader.read()).value));
    await reader.cancel();
    return got;
  },
  "a set": async (receiver, count) => {
    using set = new IpcReceiverSet();
    set.add(receiver);
    const got: unknown[] = [];
    while (got.length < count) {
      for (const event of await set.select()) got.push(event.type === "message" ? look(event.value) : event);
    }
    return got;
  },
  "a router": async (receiver, count) => {
    using router = new IpcRouter();
    const got: unknown[] = [];
    await new Promise<void>((resolve, reject) => {
      router.route(receiver, (message) => {
        got.push(look(message));
        if (got.length === count) resolve();
      }, { onError: reject });
    });
    return got;
  },
  "recvEncoded(), passed on to two": (receiver, count) =>
    times(count, async () => {
      const [to, from] = channel<unknown>(), [also, unread] = channel<unknown>();
      {
        using message = await receiver.recvEncoded();
        to.sendEncodedSync(message), also.sendEncodedSync(message);
      }
      const seen = look(from.recvSync({ timeout: 0 }));
      const again = unread.recvSync({ timeout: 0 });
      if (Array.isArray(again)) look(again);
      else if (again instanceof IpcSender) again.close();
      else if (typeof again === "object" && !(again instanceof Uint8Array)) (again as IpcReceiver<unknown>).close();
      for (const end of [to, from, also, unread]) end.close();
      return seen;
    }),
};

/** Ways that do not. */
const LOOKS: Record<string, Receive> = {
  "recvSync()": (receiver, count) => times(count, () => look(receiver.recvSync({ timeout: 0 }))),
  "recvSync() without a time": (receiver, count) => times(count, () => look(receiver.recvSync())),
  "tryRecv()": (receiver, count) =>
    times(count, () => {
      const result = receiver.tryRecv();
      return look(result.state === "message" ? result.value : result.state);
    }),
  "recvMany()": async (receiver, count) => {
    const got: unknown[] = [];
    while (got.length < count) got.push(...receiver.recvMany().map(look), await 0);
    return got.filter((value) => value !== 0);
  },
  "borrowSync()": (receiver, count) =>
    times(count, () => {
      using message = receiver.borrowSync({ timeout: 0 });
      return look(message.value);
    }),
  "tryBorrow()": (receiver, count) =>
    times(count, () => {
      using message = receiver.tryBorrow()!;
      return look(message.value);
    }),
  "tryRecv(), then tryBorrow()": (receiver, count) =>
    times(count, () => {
      const result = receiver.tryRecv();
      assert(result.state === "message");
      assertEquals(count > 1 ? undefined : receiver.tryBorrow(), undefined);
      return look(result.value);
    }),
};

/** Sends each message of a kind by one of the ways to send. */
const SENDS: ((sender: IpcSender<unknown>, message: unknown) => unknown)[] = [
  (sender, message) => sender.sendSync(message),
  (sender, message) => sender.send(message),
  (sender, message) => assert(sender.trySend(message)),
];

let nextWay = 0;
async function sendAll(sender: IpcSender<unknown>, kinds: Kind[]): Promise<Disposable> {
  const rests = new DisposableStack();
  for (const { make } of kinds) {
    const [message, rest] = make();
    await SENDS[nextWay++ % SENDS.length]!(sender, message);
    if (rest) rests.defer(rest);
  }
  return rests;
}

for (const [way, receive] of Object.entries({ ...WAITS, ...LOOKS })) {
  test(`${way}: messages that were sent before`, async () => {
    for (const [what, kinds] of Object.entries(KINDS)) {
      using away = sentAway<unknown>();
      using _rest = await sendAll(away.there, kinds);
      assertEquals(await soon(receive(away.receiver, kinds.length), what), kinds.map(({ is }) => is), what);
    }
  });
}

for (const [way, receive] of Object.entries(WAITS)) {
  test(`${way}: messages that are sent while it waits`, async () => {
    for (const [what, kinds] of Object.entries(KINDS)) {
      using away = sentAway<unknown>();
      const receiving = receive(away.receiver, kinds.length);
      await turn();
      using _rest = await sendAll(away.there, kinds);
      assertEquals(await soon(receiving, what), kinds.map(({ is }) => is), what);
    }
  });
}

const LENGTHS = [[1], [0], [1024], [1025], [0, 5, 1024, 1025, 3], [70_000, 1], [3, 6_000_000]];
const BYTES: Record<string, (receiver: IpcBytesReceiver) => number | Promise<number>> = {
  "recv()": async (receiver) => (await receiver.recv()).length,
  "recvSync()": (receiver) => receiver.recvSync().length,
  "recvInto()": (receiver) => receiver.recvInto(new Uint8Array(6_000_000)),
  "recvIntoSync()": (receiver) => receiver.recvIntoSync(new Uint8Array(6_000_000)),
  "borrow()": async (receiver) => {
    using message = await receiver.borrow();
    return message.value.length;
  },
  "tryRecv(), polling": async (receiver) => {
    for (;; await turn()) {
      const result = receiver.tryRecv();
      if (result.state === "message") return result.value.length;
      assertEquals(result.state, "empty");
    }
  },
};
const WRITES: ((sender: IpcBytesSender, bytes: Uint8Array<ArrayBuffer>) => unknown)[] = [
  (sender, bytes) => sender.sendSync(bytes),
  (sender, bytes) => {
    if (bytes.length > 100_000) sender.sendSync(bytes);
    else sender.reserveSync(bytes.length).commit();
  },
  (sender, bytes) => sender.send(bytes),
];

for (const [way, receive] of Object.entries(BYTES)) {
  test(`${way}: byte strings of every length, by every way to write them`, async () => {
    for (const lengths of LENGTHS) {
      for (const write of WRITES) {
        for (const first of way.endsWith("Sync()") ? [true] : [true, false]) {
          using away = bytesSentAway();
          const receiving = first ? undefined : times(lengths.length, () => receive(away.receiver));
          if (!first) await turn();
          for (const length of lengths) await write(away.there, new Uint8Array(length));
          const got = await soon(receiving ?? times(lengths.length, () => receive(away.receiver)));
          assertEquals(got, lengths);
        }
      }
    }
  });
}

test("recvInto() leaves a message that is too long for the next call", async () => {
  using away = bytesSentAway();
  away.there.sendSync(new Uint8Array([1, 2, 3]));
  await assertIpcError("TooLarge", () => away.receiver.recvInto(new Uint8Array(2)));
  assertEquals(away.receiver.recvSync({ timeout: 0 }), new Uint8Array([1, 2, 3]));
});
