// Reading without the lock, under writers: always a value that was written, never a mixture.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { array, f64, IpcArc, struct, u32, u8 } from "../../../arc/mod.ts";
import { COUNTER } from "../../../arc/segment/header.ts";
import { setStepHook } from "../../../base/step_hook.ts";
import { arcTest, child } from "../../support/arc_processes.ts";
import { assertIpcErrorSync } from "../../support/assert_ipc.ts";

for (const [size, reads] of [[1 << 20, 5_000], [4096, 100_000], [100, 100_000]] as const) {
  arcTest(`${reads} reads of CBOR values of ${size} bytes under a writer in a loop are whole`, async (cell) => {
    using arc = IpcArc.create(cell, new Uint8Array(size), { capacity: size + 16 });
    await using other = child(
      (io, { IpcArc }, cell, size) => {
        const arc = IpcArc.load<Uint8Array>(cell);
        io.say("writing");
        const value = new Uint8Array(size);
        for (let n = 1;; n++) arc.updateSync(() => value.fill(n).subarray(0, size - n % 7));
      },
      cell,
      size,
    );
    await other.said();
    const seen = new Set<number>();
    for (let i = 0; i < reads || seen.size < 2; i++) {
      const value = arc.read();
      const first = value[0]!;
      seen.add(first);
      const step = Math.max(1, value.length >> 8);
      for (let j = 0; j < value.length; j += step) if (value[j] !== first) assertEquals(value[j], first, `at ${j}`);
      if (value.at(-1) !== first) assertEquals(value.at(-1), first, "the last byte");
    }
  }, { processes: true });
}

arcTest("Reads of a layout are whole, and the changes of a guard are seen together", async (cell) => {
  const layout = struct({ a: u32, body: array(u8, 64 * 1024), b: u32 });
  using arc = IpcArc.create(cell, { a: 0, body: new Uint8Array(64 * 1024), b: 0 }, { layout });
  await using other = child((io, { IpcArc, struct, array, u8, u32 }, cell) => {
    const arc = IpcArc.load(cell, { layout: struct({ a: u32, body: array(u8, 64 * 1024), b: u32 }) });
    io.say("writing");
    for (let n = 1;; n++) {
      using guard = arc.acquireSync();
      const value = guard.value;
      value.a = n;
      value.body.fill(n);
      value.b = n;
    }
  }, cell);
  await other.said();
  const seen = new Set<number>();
  for (let i = 0; i < 20_000 || seen.size < 2; i++) {
    const { a, body, b } = arc.read();
    seen.add(a);
    if (a !== b || body[0] !== (a & 255) || body[32768] !== (a & 255) || body.at(-1) !== (a & 255)) {
      assertEquals([b, body[0], body[32768], body.at(-1)], [a, a & 255, a & 255, a & 255]);
    }
  }
}, { processes: true });

arcTest("Reads of a number are whole", async (cell) => {
  using arc = IpcArc.create(cell, 0, { layout: f64 });
  await using other = child((io, { IpcArc, f64 }, cell) => {
    const arc = IpcArc.load(cell, { layout: f64 });
    io.say("writing");
    // Two numbers that differ in all bytes.
    for (let n = 0;; n++) arc.updateSync(() => n % 2 ? 0 : -1.0000000000000002e-300);
  }, cell);
  await other.said();
  const seen = new Set<number>();
  for (let i = 0; i < 200_000 || seen.size < 2; i++) seen.add(arc.read());
  assertEquals([...seen].sort(), [-1.0000000000000002e-300, 0]);
}, { processes: true });

arcTest("read() does not wait for a process that holds the lock", async (cell) => {
  using arc = IpcArc.create(cell, { n: 1 }, { layout: struct({ n: u32 }) });
  await using other = child((io, { IpcArc, struct, u32 }, cell) => {
    const guard = IpcArc.load(cell, { layout: struct({ n: u32 }) }).acquireSync();
    guard.value.n = 2;
    io.say("half-way");
    setInterval(() => guard.value, 1000);
  }, cell);
  await other.said();
  assertEquals(arc.read(), { n: 1 });
}, { processes: true });

arcTest("A reader that is overtaken by a write, a killed write and its repair does not notice a mixture", (cell) => {
  using arc = IpcArc.create(cell, "a".repeat(1000));
  // It writes b, and dies when it has overwritten half of a with c.
  const source = `async (io, { IpcArc }, cell) => {
    const arc = IpcArc.load(cell);
    io.dieAt("arc:write:half", 2);
    arc.updateSync(() => "b".repeat(1000));
    arc.updateSync(() => "c".repeat(1000));
  }`;
  let begun = 0;
  setStepHook((step) => {
    if (step !== "arc:read:begin" || begun++ > 0) return;
    const { signal } = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--quiet",
        new URL("../../support/arc_child.ts", import.meta.url).href,
        JSON.stringify({ source, args: [cell] }),
      ],
    }).outputSync();
    assertEquals(signal, "SIGKILL");
    arc.acquireSync().release();
  });
  try {
    assertEquals(arc.read(), "b".repeat(1000));
  } finally {
    setStepHook(undefined);
  }
  assertEquals(begun, 2, "the reader began again");
}, { processes: true });

arcTest("A reader whom a scribbling holder overtakes each time gives up with an error", (cell) => {
  using arc = IpcArc.create(cell, "a".repeat(1000));
  using file = Deno.openSync(`/dev/shm/isthmus.${cell}`, { write: true });
  const word = new Int32Array(1);
  setStepHook((step) => {
    if (step !== "arc:read:begin") return;
    word[0]! += 4;
    file.seekSync(COUNTER * 4, Deno.SeekMode.Start);
    file.writeSync(new Uint8Array(word.buffer));
  });
  try {
    const { message } = assertIpcErrorSync("Timeout", () => arc.read());
    assertStringIncludes(message, "read it under the lock");
  } finally {
    setStepHook(undefined);
  }
  assertEquals(arc.read(), "a".repeat(1000));
}, { processes: true });
