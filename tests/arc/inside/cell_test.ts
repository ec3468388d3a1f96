// Making, finding and closing cells, and what of their files is refused.
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { IpcArc, IpcError, struct, u32 } from "../../../arc/mod.ts";
import { cString, libc } from "../../../ffi/libc/libc.ts";
import { fileStatus } from "../../../ffi/file/file_status.ts";
import { arcTest, child, codeOf, mayRun } from "../../support/arc_processes.ts";

const path = (cell: string) => `/dev/shm/isthmus.${cell}`;

arcTest("IpcArc.create() makes a cell that load() finds and the last close() removes", (cell) => {
  const first = IpcArc.create(cell, { n: 1 });
  const second = IpcArc.load<{ n: number }>(cell);
  assertEquals(second.read(), { n: 1 });
  assertEquals(second.name, cell);
  first.close();
  assertEquals(second.read(), { n: 1 });
  assert(fileStatus(path(cell)) !== undefined);
  second.close();
  assertEquals(fileStatus(path(cell)), undefined);
  assertEquals(codeOf(() => IpcArc.load(cell)), "NotFound");
});

arcTest("IpcArc.create() refuses a name that a living cell has", (cell) => {
  using _first = IpcArc.create(cell, 1);
  assertThrows(() => IpcArc.create(cell, 2), IpcError, cell);
  assertEquals(codeOf(() => IpcArc.create(cell, 2)), "AlreadyExists");
});

arcTest("IpcArc.createOrLoad() creates once and never overwrites", (cell) => {
  using first = IpcArc.createOrLoad(cell, "first");
  using second = IpcArc.createOrLoad(cell, "second");
  assertEquals([first.read(), second.read()], ["first", "first"]);
});

arcTest("IpcArc.refCount counts every reference", (cell) => {
  using first = IpcArc.create(cell, 0);
  assertEquals(first.refCount, 1);
  const second = first.clone();
  const third = IpcArc.load(cell);
  const fourth = third.clone();
  assertEquals([first.refCount, second.refCount, third.refCount, fourth.refCount], [4, 4, 4, 4]);
  second.close();
  third.close();
  assertEquals(first.refCount, 2);
  fourth.close();
  fourth.close();
  assertEquals(first.refCount, 1);
});

arcTest("IpcArc.clone() keeps the cell after the original is closed", (cell) => {
  const first = IpcArc.create(cell, "kept");
  using second = first.clone();
  first.close();
  assertEquals([second.read(), second.refCount], ["kept", 1]);
  assertEquals(codeOf(() => first.clone()), "Closed");
});

arcTest("A name that breaks the rule is a TypeError that states it", () => {
  for (const name of ["", "a/b", "/a", "a\0b", "x".repeat(300), "ü".repeat(101), "\ud800"]) {
    assertThrows(() => IpcArc.create(name, 0), TypeError, '1 to 200 bytes without "/" and NUL');
    assertThrows(() => IpcArc.load(name), TypeError, '1 to 200 bytes without "/" and NUL');
  }
  // deno-lint-ignore no-explicit-any
  assertThrows(() => IpcArc.create(undefined as any, 0), TypeError, "1 to 200 bytes");
});

arcTest("The longest name, and one of other scripts, work", (cell) => {
  for (const name of [(cell + "x".repeat(200)).slice(0, 200), `${cell} ⸗ мост.bell.0`]) {
    using arc = IpcArc.create(name, 1);
    using again = IpcArc.load<number>(name);
    assertEquals(again.read() + arc.refCount, 3);
  }
});

arcTest("A name that belongs to something else is Incompatible, and that is left alone", (cell) => {
  const { c } = libc();
  const text = new TextEncoder().encode("not a cell, but somebody's file\n".repeat(10));
  const fd = c.open(cString(path(cell)), 0o102, 0o600);
  c.write(fd, text, BigInt(text.length));
  c.close(fd);
  try {
    for (const use of [() => IpcArc.load(cell), () => IpcArc.create(cell, 1), () => IpcArc.createOrLoad(cell, 1)]) {
      assertEquals(codeOf(use), "Incompatible");
    }
    assertEquals(fileStatus(path(cell))?.size, text.length);
  } finally {
    c.unlink(cString(path(cell)));
  }
  c.mkfifo(cString(path(cell)), 0o600);
  try {
    assertEquals(codeOf(() => IpcArc.load(cell)), "Incompatible");
    assertEquals(codeOf(() => IpcArc.create(cell, 1)), "Incompatible");
  } finally {
    c.unlink(cString(path(cell)));
  }
});

arcTest("A cell that was cut short, or whose header lies, is Corrupt", (cell) => {
  const { c } = libc();
  const fd = () => c.open(cString(path(cell)), 2, 0);
  {
    using _arc = IpcArc.create(cell, "x".repeat(1000));
    const file = fd();
    c.ftruncate(file, 4096n);
    const again = codeOf(() => IpcArc.load(cell));
    assertEquals(again, "Corrupt");
    c.ftruncate(file, 0n);
    assertEquals(codeOf(() => IpcArc.load(cell)), "Corrupt");
    c.ftruncate(file, 1n << 20n); // lest closing it be a SIGBUS
    c.close(file);
    c.unlink(cString(path(cell)));
  }
  // Word by word: a number from the future, then numbers that contradict the file.
  for (
    const [offset, value, code] of [
      [8, 99, "Incompatible"], // format version
      [164, 0, "Incompatible"], // whose mutex: an older version
      [164, 2 | 40 << 8, "Incompatible"], // another C library
      [12, 7, "Corrupt"], // kind
      [16, 0x7fff_ffff, "Corrupt"], // segment size
      [16, 64, "Corrupt"],
      [56, 0x7fff_ff00, "Corrupt"], // offset of buffer 0
      [56, 0, "Corrupt"],
      [60, 0x4000_0000, "Corrupt"], // distance of buffer 1
      [60, -64, "Corrupt"],
      [60, 0, "Corrupt"],
      [144, 0x7fff_ffff, "Corrupt"], // capacity
      [144, 0, "Corrupt"],
    ] as const
  ) {
    using arc = IpcArc.create(cell, 1);
    const file = fd();
    const word = new Int32Array(1);
    c.lseek(file, BigInt(offset), 0);
    c.read(file, word, 4n);
    c.lseek(file, BigInt(offset), 0);
    c.write(file, new Int32Array([value]), 4n);
    assertEquals(codeOf(() => IpcArc.load(cell)), code, `word at ${offset} = ${value}`);
    c.lseek(file, BigInt(offset), 0);
    c.write(file, word, 4n);
    c.close(file);
    assertEquals(arc.read(), 1);
  }
});

arcTest("A cell whose value claims an impossible length is Corrupt when it is read", (cell) => {
  const { c } = libc();
  using arc = IpcArc.create(cell, 1);
  const file = c.open(cString(path(cell)), 2, 0);
  for (const length of [-1, 0x7fff_ffff, 65537]) {
    c.lseek(file, 48n, 0);
    c.write(file, new Int32Array([length]), 4n);
    assertEquals(codeOf(() => arc.read()), "Corrupt");
  }
  c.lseek(file, 48n, 0);
  c.write(file, new Int32Array([0]), 4n);
  assertEquals(codeOf(() => arc.read()), "Serialization");
  c.close(file);
  // Still usable: a new value replaces the broken one.
  {
    using guard = arc.acquireSync();
    guard.value = 5;
  }
  assertEquals(arc.read(), 5);
});

arcTest(
  "A forgotten reference is given up, but not while a guard, a watch or atomic operations remain",
  async (cell) => {
    using keeper = IpcArc.create(cell, 0, { layout: u32 });
    const load = () => IpcArc.load(cell, { layout: u32 });
    const collectUntil = async (count: number) => {
      // Whatever makes the collector run at last.
      for (let i = 0; keeper.refCount > count && i < 5000; i++) {
        Array.from({ length: 10_000 }, () => ({}));
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
      assertEquals(keeper.refCount, count);
    };
    await (async () => {
      const atomic = (() => load().atomic)();
      const watch = (() => load().watch()[Symbol.asyncIterator]())();
      const guard = (() => load().acquireSync())();
      (() => load().read())();
      assertEquals(keeper.refCount, 5);
      await collectUntil(4);
      const next = watch.next();
      atomic.add(1);
      assertEquals((await next).value, 1);
      guard.value = 2;
      guard.release();
      assertEquals(keeper.read(), 2);
    })();
    await collectUntil(1);
  },
);

arcTest("CBOR and a layout do not mix: Incompatible", (cell) => {
  const layout = struct({ n: u32 });
  {
    using _arc = IpcArc.create(cell, { n: 1 });
    const error = assertThrows(() => IpcArc.load(cell, { layout }), IpcError, '{"n":u32}');
    assertEquals(error.code, "Incompatible");
  }
  using _arc = IpcArc.create(cell, { n: 1 }, { layout });
  assertEquals(codeOf(() => IpcArc.load(cell)), "Incompatible");
  assertEquals(codeOf(() => IpcArc.load(cell, { layout: struct({ m: u32 }) })), "Incompatible");
  assertEquals(
    codeOf(() => IpcArc.createOrLoad(cell, { n: 1, m: 2 }, { layout: struct({ n: u32, m: u32 }) })),
    "Incompatible",
  );
  IpcArc.load(cell, { layout: struct({ n: u32 }) }).close();
});

arcTest("Options that make no sense are refused", (cell) => {
  for (const capacity of [0, -1, 1.5, NaN, 2 ** 31]) {
    assertThrows(() => IpcArc.create(cell, 1, { capacity }), RangeError, "capacity");
  }
  for (const mode of [-1, 0o400, 0o1777, 0.5]) assertThrows(() => IpcArc.create(cell, 1, { mode }), RangeError, "mode");
  // deno-lint-ignore no-explicit-any
  assertThrows(() => IpcArc.create(cell, 1, { layout: { size: 4 } as any }), TypeError, "layout");
});

arcTest("The permissions of a cell are 0600 by default", (cell) => {
  {
    using _arc = IpcArc.create(cell, 1);
    assertEquals(fileStatus(path(cell))!.mode, 0o600);
  }
  using _arc = IpcArc.create(cell, 1, { mode: 0o666 });
  assertEquals(fileStatus(path(cell))!.mode, 0o666);
});

// A tiny shared memory of its own needs a mount, and a mount needs rights.
const mayMount = mayRun && new Deno.Command("unshare", {
  args: ["--mount", "mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", "/dev/shm"],
  stderr: "null",
}).outputSync().success;
if (mayRun && !mayMount) console.log("The test of full shared memory is ignored: it may not mount a file system");

Deno.test({
  name: "No room in shared memory is an error when the cell is created, and leaves nothing",
  ignore: !mayMount,
  async fn() {
    const main = async (io: { say(value: unknown): void }, { IpcArc }: typeof import("../../../arc/mod.ts")) => {
      const free = () => Deno.statSync("/dev/shm").size;
      try {
        IpcArc.create("big", 1, { capacity: 1 << 20 });
      } catch (error) {
        io.say([(error as IpcError).code, (error as Error).message]);
      }
      io.say([...Deno.readDirSync("/dev/shm")].length);
      using small = IpcArc.create("small", "it fits");
      io.say(small.read());
      await free();
    };
    const script = new URL("../../support/arc_child.ts", import.meta.url).pathname;
    const inner = `mount -t tmpfs -o size=200k tmpfs /dev/shm && exec "$@"`;
    const { stdout, success } = await new Deno.Command("unshare", {
      args: [
        "--mount",
        "sh",
        "-c",
        inner,
        "sh",
        Deno.execPath(),
        "run",
        "-A",
        "--quiet",
        script,
        JSON.stringify({ source: main.toString(), args: [] }),
      ],
      stderr: "inherit",
    }).output();
    assert(success);
    const [error, left, read] = new TextDecoder().decode(stdout).trim().split("\n").map((line) => JSON.parse(line));
    assertEquals(error[0], "System");
    assertStringIncludes(error[1], "no room");
    assertEquals(left, 0);
    assertEquals(read, "it fits");
  },
});

arcTest("A program that ends without closing its cells leaves none", async (cell) => {
  await using other = child((_io, { IpcArc }, cell) => {
    IpcArc.create(cell, 1);
  }, cell);
  await other.done();
  assertEquals(fileStatus(path(cell)), undefined);
}, { processes: true });
