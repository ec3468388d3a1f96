// A Python program (standard library and cbor2) shares cells with Deno programs.
import { assertEquals } from "@std/assert";
import { array, bool, f64, IpcArc, struct, u16, u32 } from "../../arc/mod.ts";
import { arcTest, child, mayRun } from "../support/arc_processes.ts";
import { pythonPath } from "../support/python.ts";

const script = new URL("./arc_peer.py", import.meta.url).pathname;

const python = mayRun ? pythonPath() : undefined;
if (mayRun && python === undefined) {
  console.log("The tests of cells with Python programs are ignored: there is no python3, or pip cannot install cbor2");
}

function pythonTest(name: string, test: (cell: string) => Promise<void>): void {
  if (python === undefined) Deno.test({ name, ignore: true, fn() {} });
  else arcTest(name, test, { processes: true });
}

function start(cell: string, ...args: string[]): Deno.ChildProcess {
  return new Deno.Command("python3", {
    args: [script, `/dev/shm/isthmus.${cell}`, ...args],
    env: { PYTHONPATH: python!.path },
    stdout: "piped",
  }).spawn();
}

pythonTest("A Python program and two Deno processes add to one CBOR value, 100,000 times each", async (cell) => {
  interface Value {
    n: number;
    note: string;
    languages: string[];
  }
  using arc = IpcArc.create<Value>(cell, { n: 0, note: "kept", languages: [] });
  const add = async (io: Io, { IpcArc }: Api, cell: string, way: string) => {
    using arc = IpcArc.load<Value>(cell);
    io.say("ready");
    await io.hear();
    for (let i = 0; i < 100_000; i++) {
      if (way === "update") arc.updateSync((value) => ({ ...value, n: value.n + 1 }));
      else {
        using guard = arc.acquireSync();
        guard.value.n++;
      }
    }
  };
  await using one = child(add, cell, "update");
  await using two = child(add, cell, "guard");
  await Promise.all([one.said(), two.said()]);
  const peer = start(cell, "count", "100000");
  await Promise.all([one.tell("go"), two.tell("go")]);
  await Promise.all([one.done(), two.done()]);
  assertEquals((await peer.output()).code, 0);
  assertEquals(arc.read(), { n: 300_000, note: "kept", languages: ["Python"] });
});

pythonTest("A value that Python wrote is not taken for changed when it is only read", async (cell) => {
  using arc = IpcArc.create(cell, { n: 0, big: 2.5 });
  await start(cell, "count", "1").output();
  const watch = arc.watch()[Symbol.asyncIterator]();
  const next = watch.next();
  {
    using guard = arc.acquireSync();
    assertEquals(guard.value.n, 1);
  }
  await new Promise((resolve) => setTimeout(resolve, 0)); // what is rung here arrives
  arc.updateSync((value) => ({ ...value, n: 5 }));
  assertEquals((await next).value.n, 5);
  await watch.return!();
});

pythonTest("A Python program reads a POD struct by struct and ctypes", async (cell) => {
  const layout = struct({ id: u32, x: f64, hits: array(u16, 3), ok: bool });
  const value = { id: 4_000_000_000, x: -0.125, hits: new Uint16Array([1, 2, 65535]), ok: true };
  using _arc = IpcArc.create(cell, value, { layout });
  const { stdout } = await start(cell, "struct").output();
  const fields = [value.id, value.x, [...value.hits], value.ok];
  assertEquals(JSON.parse(new TextDecoder().decode(stdout)), {
    ctypes: fields,
    struct: fields,
    size: [24, 24],
    layout: layout.description,
  });
});

globalThis.addEventListener("unload", () => {
  if (python?.folder !== undefined) Deno.removeSync(python.folder, { recursive: true });
});

type Io = import("../support/arc_child.ts").ChildIo;
type Api = import("../support/arc_processes.ts").Api;
