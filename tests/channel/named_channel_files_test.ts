import { assert, assertEquals, assertThrows } from "@std/assert";
import { IpcBytesReceiver, IpcBytesSender, IpcError, IpcReceiver, IpcSender } from "../../mod.ts";
import { assertIpcError, assertIpcErrorSync } from "../support/assert_ipc.ts";
import { type Folder, folderTest } from "../support/folder.ts";
import { patience } from "../support/patience.ts";
import { test } from "../support/test.ts";

const FILES = ["channel", "channel.bell", "channel.room"];
const CAPACITY = 65_536;

/** Permission bits of the files of a channel. */
function modes(folder: Folder): number[] {
  return FILES.map((name) => Deno.statSync(`${folder.path}/${name}`).mode! & 0o777);
}

test("A mode that is none, or keeps the owner out, is a RangeError, and nothing is made", () => {
  for (const mode of [0o400, 0o060, 0o1600, -1, 1.5, NaN, "600"]) {
    const create = () => IpcReceiver.create("/dev/shm/isthmus-no-such-mode", { mode: mode as number });
    assertThrows(create, RangeError, "from 0o600 to 0o777");
  }
});

for (const [options, expected] of [[{}, 0o600], [{ mode: 0o660 }, 0o660], [{ mode: 0o666 }, 0o666]] as const) {
  for (const umask of [0, 0o077]) {
    const asked = "mode" in options ? `mode ${options.mode.toString(8)}` : "no mode";
    folderTest(
      `IpcReceiver.create() with ${asked} under umask ${umask.toString(8)} makes files of that mode`,
      (folder) => {
        const before = Deno.umask(umask);
        try {
          using _receiver = IpcReceiver.create(folder.channel, options);
          assertEquals(folder.files(), FILES);
          assertEquals(modes(folder), [expected, expected, expected]);
        } finally {
          Deno.umask(before);
        }
      },
    );
  }
}

folderTest("IpcSender.open() makes the channel if there is none, for its owner only", (folder) => {
  const before = Deno.umask(0);
  try {
    using _sender = IpcSender.open(folder.channel);
    assertEquals(modes(folder), [0o600, 0o600, 0o600]);
  } finally {
    Deno.umask(before);
  }
});

folderTest(
  "A second create() with another capacity leaves the ring, its size and its messages as they are",
  (folder) => {
    using sender = IpcSender.open<number>(folder.channel);
    for (let n = 0; n < 100; n++) sender.sendSync(n);
    const before = Deno.statSync(folder.channel);
    {
      using receiver = IpcReceiver.create<number>(folder.channel, { capacity: CAPACITY, mode: 0o666 });
      const after = Deno.statSync(folder.channel);
      assertEquals([after.ino, after.size, after.mode], [before.ino, before.size, before.mode]);
      assertEquals(receiver.recvSync({ timeout: 0 }), 0);
      // Refused while a receiver lives, and nothing is changed by the attempt.
      for (const capacity of [CAPACITY, 1 << 20, 64 << 20]) {
        assertIpcErrorSync("AlreadyExists", () => IpcReceiver.create(folder.channel, { capacity }));
      }
      assertEquals(Deno.statSync(folder.channel).size, before.size);
      sender.sendSync(100);
      assertEquals(receiver.recvSync({ timeout: 0 }), 1);
    }
    using receiver = IpcReceiver.create<number>(folder.channel, { capacity: 1 << 20 });
    assertEquals(receiver.recvMany(), Array.from({ length: 99 }, (_, n) => n + 2));
    assertEquals(Deno.statSync(folder.channel).ino, before.ino);
  },
);

folderTest("The receiver goes on with the next message after it was closed and opened again, many times", (folder) => {
  using sender = IpcSender.open<number>(folder.channel);
  for (let n = 0; n < 60; n++) sender.sendSync(n);
  const received: number[] = [];
  for (let times = 0; times < 20; times++) {
    using receiver = IpcReceiver.create<number>(folder.channel);
    for (let i = 0; i < 3; i++) received.push(receiver.recvSync({ timeout: 0 }));
  }
  assertEquals(received, Array.from({ length: 60 }, (_, n) => n));
});

// --- Something else at the path ----------------------------------------------------------------------------------------

/** A file that has the size of a ring of `CAPACITY` bytes, and a header that is changed before it is written. */
function likeARing(folder: Folder, change: (words: Int32Array) => void): Uint8Array {
  const model = `${folder.path}/model`;
  IpcSender.open(model).close();
  const bytes = Deno.readFileSync(model);
  assert(IpcReceiver.remove(model));
  change(new Int32Array(bytes.buffer));
  return bytes;
}

const SOMETHING_ELSE: Record<string, (folder: Folder) => void> = {
  "an empty file": ({ channel }) => Deno.writeFileSync(channel, new Uint8Array()),
  "a text file": ({ channel }) => Deno.writeTextFileSync(channel, "precious\n".repeat(1000)),
  "a file with the size of a ring": (folder) =>
    Deno.writeFileSync(folder.channel, likeARing(folder, (words) => words.fill(0))),
  "a ring of another format": (folder) =>
    Deno.writeFileSync(folder.channel, likeARing(folder, (words) => words[2]! += 1)),
  "a ring that lies about its size": (folder) =>
    Deno.writeFileSync(folder.channel, likeARing(folder, (words) => words[3]! *= 2)),
  "a ring that was cut short": (folder) =>
    Deno.writeFileSync(folder.channel, likeARing(folder, () => {}).subarray(0, 100_000)),
  "a folder": ({ channel }) => Deno.mkdirSync(channel),
  "a FIFO": ({ channel }) => void new Deno.Command("mkfifo", { args: [channel] }).outputSync(),
  "a link to a text file": ({ channel, path }) => {
    Deno.writeTextFileSync(`${path}/target`, "precious");
    Deno.symlinkSync("target", channel);
  },
  "a link to nothing": ({ channel }) => Deno.symlinkSync("nowhere", channel),
};

/** All that can be seen of the files of a folder. */
function snapshot(folder: Folder): unknown[] {
  return folder.files().map((name) => {
    const path = `${folder.path}/${name}`;
    const { ino, size, mode, mtime, isFile } = Deno.lstatSync(path);
    return [name, ino, size, mode, mtime?.getTime(), isFile && size < 1e6 ? Deno.readTextFileSync(path) : ""];
  });
}

for (const [what, make] of Object.entries(SOMETHING_ELSE)) {
  folderTest(`${what[0]!.toUpperCase()}${what.slice(1)} at the path is Incompatible, and not touched`, (folder) => {
    make(folder);
    const before = snapshot(folder);
    const attempts = [
      () => IpcReceiver.create(folder.channel, { capacity: CAPACITY }),
      () => IpcSender.open(folder.channel),
      () => IpcBytesReceiver.create(folder.channel),
      () => IpcBytesSender.open(folder.channel),
      () => IpcReceiver.remove(folder.channel, { force: true }),
    ];
    for (const attempt of attempts) assertIpcErrorSync("Incompatible", attempt);
    assertEquals(snapshot(folder), before);
  });
}

folderTest("Files that are no FIFOs where the doorbells belong are Incompatible, and not touched", (folder) => {
  IpcSender.open(folder.channel).close();
  Deno.removeSync(`${folder.channel}.bell`);
  Deno.writeTextFileSync(`${folder.channel}.bell`, "precious");
  assertIpcErrorSync("Incompatible", () => IpcReceiver.create(folder.channel));
  assertEquals(Deno.readTextFileSync(`${folder.channel}.bell`), "precious");
});

folderTest("A channel whose remover died halfway gets its doorbells back, with the messages still in it", (folder) => {
  const sender = IpcSender.open<string>(folder.channel);
  sender.sendSync("kept");
  sender.close();
  for (const lost of [[".room"], [".bell", ".room"]]) {
    for (const name of lost) Deno.removeSync(folder.channel + name);
    using _other = IpcSender.open(folder.channel);
    assertEquals(folder.files(), FILES);
  }
  using receiver = IpcReceiver.create<string>(folder.channel);
  assertEquals(receiver.recvSync({ timeout: 0 }), "kept");
});

folderTest("A folder that does not exist is an error that names the path, and nothing is made", (folder) => {
  const path = `${folder.path}/none/channel`;
  const error = assertThrows(() => IpcReceiver.create(path), IpcError);
  assert(error.message.includes(path));
  assertEquals(folder.files(), []);
});

test("A path that cannot be one is a TypeError", () => {
  for (const path of ["", "a\0b", "/dev/shm/", "x".repeat(5000), 7 as unknown as string]) {
    assertThrows(() => IpcReceiver.create(path), TypeError);
    assertThrows(() => IpcSender.open(path), TypeError);
  }
});

// --- How large a message may be ----------------------------------------------------------------------------------------

folderTest("A payload of exactly the capacity is sent, one byte more is TooLarge at once", async (folder) => {
  using receiver = IpcBytesReceiver.create(folder.channel, { capacity: CAPACITY });
  using sender = IpcBytesSender.open(folder.channel);
  const most = new Uint8Array(CAPACITY).map((_, i) => i * 7), more = new Uint8Array(CAPACITY + 1);
  for (let times = 0; times < 3; times++) {
    sender.sendSync(most, { timeout: patience(10_000) });
    assertEquals(receiver.recvSync({ timeout: 0 }), most);
    await sender.send(most, { timeout: patience(10_000) });
    assertEquals(await receiver.recv({ timeout: 0 }), most);
    assertIpcErrorSync("TooLarge", () => sender.sendSync(more));
    assertIpcErrorSync("TooLarge", () => sender.trySend(more));
    await assertIpcError("TooLarge", () => sender.send(more));
    await assertIpcError("TooLarge", () => sender.sendWhenEmpty(more));
    assertIpcErrorSync("TooLarge", () => sender.reserveSync(more.length));
    sender.sendSync(new Uint8Array(100)); // moves the position on
    assertEquals(receiver.recvSync({ timeout: 0 }).length, 100);
  }
});

folderTest("A value whose encoding is larger than the channel is TooLarge, also while it is full", async (folder) => {
  using _receiver = IpcReceiver.create(folder.channel, { capacity: CAPACITY });
  using sender = IpcSender.open<unknown>(folder.channel);
  while (sender.trySend(new Uint8Array(10_000)));
  assertIpcErrorSync("TooLarge", () => sender.sendSync("x".repeat(CAPACITY)));
  await assertIpcError("TooLarge", () => sender.send({ bytes: new Uint8Array(CAPACITY) }));
});

folderTest("What needs more than data is refused, stays its owner's, and the channel goes on", (folder) => {
  using receiver = IpcReceiver.create<unknown>(folder.channel);
  using sender = IpcSender.open<unknown>(folder.channel);
  assertIpcErrorSync("Serialization", () => sender.sendSync({ deep: [sender] }));
  assert(!sender.closed);
  sender.sendSync("data");
  assertEquals(receiver.recvSync({ timeout: 0 }), "data");
});

// --- Positions ---------------------------------------------------------------------------------------------------------

/** Sets the position that an idle channel, which nobody has open, goes on at. */
function moveTo(folder: Folder, position: number): void {
  using file = Deno.openSync(folder.channel, { read: true, write: true });
  const word = new Uint8Array(new Uint32Array([position]).buffer);
  for (const offset of [64, /* tail */ 128, /* head */ 336 /* read */]) {
    file.seekSync(offset, Deno.SeekMode.Start);
    file.writeSync(word);
  }
}

for (const capacity of [CAPACITY, 1 << 20]) {
  folderTest(
    `An empty channel of ${capacity} bytes takes a message of any size, wherever its position is`,
    (folder) => {
      const blocks = capacity / 64;
      const positions = [
        0,
        1,
        2,
        blocks / 2,
        blocks / 2 + 1,
        blocks - 2,
        blocks - 1,
        blocks,
        2 ** 31 - 1,
        2 ** 32 - blocks - 1,
      ];
      const sizes = [0, 1, 64, 65, 1000, capacity / 2, capacity / 2 + 1, capacity - 64, capacity - 63, capacity];
      for (const position of [...positions, 2 ** 32 - 2, 2 ** 32 - 1]) {
        for (const size of sizes) {
          const maker = IpcBytesReceiver.create(folder.channel, { capacity });
          const holder = IpcBytesSender.open(folder.channel); // so that the files stay
          maker.close(), holder.close();
          moveTo(folder, position);
          using sender = IpcBytesSender.open(folder.channel);
          using again = IpcBytesReceiver.create(folder.channel);
          for (let times = 0; times < 3; times++) {
            assert(sender.trySend(new Uint8Array(size).fill(times)), `${size} bytes at ${position}`);
            const received = again.recvSync({ timeout: 0 });
            assert(
              received.length === size && received.every((byte) => byte === times),
              `${size} bytes at ${position}`,
            );
          }
        }
      }
    },
  );
}

folderTest(
  "Traffic of all sizes runs round and round without a message being refused by an empty channel",
  (folder) => {
    using receiver = IpcBytesReceiver.create(folder.channel, { capacity: CAPACITY });
    using sender = IpcBytesSender.open(folder.channel);
    for (let n = 0; n < 5000; n++) {
      const size = n * 977 % (CAPACITY + 1);
      assert(sender.trySend(new Uint8Array(size)), `message ${n} of ${size} bytes`);
      assertEquals(receiver.recvSync({ timeout: 0 }).length, size);
    }
  },
);

// --- Clean-up ----------------------------------------------------------------------------------------------------------

folderTest("Closing the receiver removes the files of a channel that is empty and that no sender uses", (folder) => {
  const sender = IpcSender.open<number>(folder.channel);
  const receiver = IpcReceiver.create<number>(folder.channel);
  sender.sendSync(1);
  sender.close();
  assertEquals(receiver.recvSync({ timeout: 0 }), 1);
  receiver.close();
  assertEquals(folder.files(), []);
});

folderTest("Closing the receiver keeps the files while messages wait, or a sender is attached", (folder) => {
  const sender = IpcSender.open<number>(folder.channel);
  sender.sendSync(1);
  sender.close();
  IpcReceiver.create<number>(folder.channel).close();
  assertEquals(folder.files(), FILES);
  const other = IpcSender.open<number>(folder.channel);
  const receiver = IpcReceiver.create<number>(folder.channel);
  assertEquals(receiver.recvSync({ timeout: 0 }), 1);
  receiver.close();
  assertEquals(folder.files(), FILES);
  other.sendSync(2);
  other.close();
  assertEquals(folder.files(), FILES);
  using last = IpcReceiver.create<number>(folder.channel);
  assertEquals(last.recvSync({ timeout: 0 }), 2);
});

folderTest("Closing the receiver with messages borrowed counts them as received", (folder) => {
  const sender = IpcSender.open<number>(folder.channel);
  sender.sendSync(1), sender.sendSync(2);
  const receiver = IpcReceiver.create<number>(folder.channel);
  const borrowed = receiver.borrowSync({ timeout: 0 });
  receiver.close();
  borrowed.release();
  const again = IpcReceiver.create<number>(folder.channel);
  sender.close();
  const last = again.borrowSync({ timeout: 0 });
  assertEquals(last.value, 2);
  again.close();
  last.release();
  assertEquals(folder.files(), []);
});

folderTest("IpcReceiver.remove() removes what nobody uses, and what is in use only by force", (folder) => {
  assertEquals(IpcReceiver.remove(folder.channel), false);
  const sender = IpcSender.open<number>(folder.channel);
  sender.sendSync(1);
  assertEquals(IpcReceiver.remove(folder.channel), false);
  assertEquals(folder.files(), FILES);
  sender.close();
  assertEquals(IpcReceiver.remove(folder.channel), true);
  assertEquals(folder.files(), []);

  using receiver = IpcReceiver.create<number>(folder.channel);
  using other = IpcSender.open<number>(folder.channel);
  assertEquals(IpcReceiver.remove(folder.channel, { force: true }), true);
  assertEquals(folder.files(), []);
  other.sendSync(2); // those who are attached go on with each other
  assertEquals(receiver.recvSync({ timeout: 0 }), 2);
  // A new channel at the path is another one, and closing the old one leaves it alone.
  using fresh = IpcSender.open<number>(folder.channel);
  other.close(), receiver.close();
  assertEquals(folder.files(), FILES);
  fresh.sendSync(3);
  using its = IpcReceiver.create<number>(folder.channel);
  assertEquals(its.recvSync({ timeout: 0 }), 3);
});
