// A C program shares cells with Deno programs, and a C compiler agrees about where the parts of a struct lie.
import { assertEquals } from "@std/assert";
import {
  array,
  bool,
  bytes,
  f32,
  f64,
  i16,
  i32,
  i64,
  i8,
  IpcArc,
  type Layout,
  struct,
  u16,
  u32,
  u64,
  u8,
} from "../../arc/mod.ts";
import { arcTest, child, mayRun } from "../support/arc_processes.ts";

const compiler = mayRun && ["gcc", "cc"].find((name) => {
  try {
    return new Deno.Command(name, { args: ["--version"], stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
});
if (mayRun && !compiler) console.log("The tests of cells with C programs are ignored: there is no gcc");

function compile(source: string, program: string): void {
  const { success, stderr } = new Deno.Command(compiler as string, {
    args: ["-O2", "-Wall", "-Werror", "-pthread", "-o", program, source],
    stderr: "piped",
  }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

/** A test with a program compiled from C. */
function cTest(
  name: string,
  source: () => string,
  test: (cell: string, program: string) => void | Promise<void>,
): void {
  if (!compiler) return Deno.test({ name, ignore: true, fn() {} });
  arcTest(name, async (cell) => {
    const folder = Deno.makeTempDirSync({ prefix: "isthmus-test-" });
    try {
      Deno.writeTextFileSync(`${folder}/program.c`, source());
      compile(`${folder}/program.c`, `${folder}/program`);
      await test(cell, `${folder}/program`);
    } finally {
      Deno.removeSync(folder, { recursive: true });
    }
  }, { processes: true });
}

const peer = () => Deno.readTextFileSync(new URL("./arc_peer.c", import.meta.url));
const file = (cell: string) => `/dev/shm/isthmus.${cell}`;

for (const kind of ["CBOR", "POD"]) {
  cTest(`A C program and a Deno process add to one ${kind} number, 100,000 times each`, peer, async (cell, program) => {
    using arc = IpcArc.create(cell, 0, kind === "POD" ? { layout: u32 } : {});
    await using deno = child(
      async (io, { IpcArc, u32 }, cell, kind) => {
        using arc = IpcArc.load<number>(cell, kind === "POD" ? { layout: u32 } : {});
        io.say("ready");
        await io.hear();
        for (let i = 0; i < 100_000; i++) {
          using guard = arc.acquireSync();
          guard.value += 1;
        }
      },
      cell,
      kind,
    );
    await deno.said();
    const c = new Deno.Command(program, { args: [file(cell), "count", "100000"] }).spawn();
    await deno.tell("go");
    await deno.done();
    assertEquals((await c.status).code, 0);
    assertEquals(arc.read(), 200_000);
    assertEquals(arc.refCount, 1);
  });
}

cTest("A C program excludes, wakes and is counted like any holder", peer, async (cell, program) => {
  using arc = IpcArc.create(cell, 1);
  const c = new Deno.Command(program, { args: [file(cell), "hold"], stdin: "piped", stdout: "piped" }).spawn();
  const output = c.stdout.getReader();
  assertEquals(new TextDecoder().decode((await output.read()).value), "held\n");
  assertEquals(arc.tryAcquire(), undefined);
  assertEquals(arc.refCount, 2);
  const pending = arc.acquire();
  const input = c.stdin.getWriter();
  await input.write(new TextEncoder().encode("\n"));
  (await pending).release();
  await input.close();
  await c.status;
  await output.cancel();
});

cTest("A C program that is killed while it writes leaves the last complete value", peer, async (cell, program) => {
  using arc = IpcArc.create(cell, 7);
  const c = new Deno.Command(program, { args: [file(cell), "die"] }).spawn();
  assertEquals((await c.status).signal, "SIGKILL");
  assertEquals(arc.read(), 7);
  using guard = await arc.acquire();
  assertEquals([guard.ownerDied, guard.value], [true, 7]);
});

cTest("A change by a C program wakes who watches", peer, async (cell, program) => {
  using arc = IpcArc.create(cell, 1);
  const watch = arc.watch()[Symbol.asyncIterator]();
  const next = watch.next();
  await new Deno.Command(program, { args: [file(cell), "set", "77"] }).spawn().status;
  assertEquals((await next).value, 77);
  await watch.return!();
});

// --- Alignment -------------------------------------------------------------------------------------------------------

/** A random type: its layout, its C declaration and a value as C initializes and as Deno reads it. */
interface Sample {
  readonly layout: Layout<unknown>;
  readonly declare: (name: string) => string;
  readonly initializer: string;
  readonly value: unknown;
}

function samples(random: () => number): (depth: number) => Sample {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  const integer = (bits: number, signed: boolean) => {
    const value = BigInt.asUintN(bits, BigInt(Math.floor(random() * 2 ** 32)) * 0x1_0000_0001n);
    return signed ? BigInt.asIntN(bits, value) : value;
  };
  const scalars: (() => Sample)[] = [
    ...([[u8, 8, false], [i8, 8, true], [u16, 16, false], [i16, 16, true], [u32, 32, false], [i32, 32, true]] as const)
      .map(([layout, bits, signed]) => () => {
        const value = integer(bits, signed);
        const type = `${signed ? "" : "u"}int${bits}_t`;
        return {
          layout,
          declare: (name: string) => `${type} ${name}`,
          initializer: `(${type})${value}LL`,
          value: Number(value),
        };
      }),
    ...([[u64, false], [i64, true]] as const).map(([layout, signed]) => () => {
      const value = integer(64, signed) >> 1n;
      const type = signed ? "int64_t" : "uint64_t";
      return {
        layout,
        declare: (name: string) => `${type} ${name}`,
        initializer: `${value}${signed ? "LL" : "ULL"}`,
        value,
      };
    }),
    () => {
      const value = Math.fround(random() * 100);
      return { layout: f32, declare: (name) => `float ${name}`, initializer: `${value}`, value };
    },
    () => {
      const value = random() - 0.5;
      return { layout: f64, declare: (name) => `double ${name}`, initializer: `${value}`, value };
    },
    () => {
      const value = random() < 0.5;
      return { layout: bool, declare: (name) => `_Bool ${name}`, initializer: `${+value}`, value };
    },
  ];
  const make = (depth: number): Sample => {
    const kind = depth === 0 ? 2 : random() * 4;
    if (kind < 1 && depth > 0) {
      // In C an array's length follows the name; elements here are of one kind but differ in value.
      const length = 1 + Math.floor(random() * 4);
      const element = make(depth - 1);
      const value = Array(length).fill(element.value);
      // Arrays of numbers are typed arrays.
      const empty = array(element.layout, length).read(new DataView(new ArrayBuffer(element.layout.size * length)), 0);
      return {
        layout: array(element.layout, length),
        declare: (name) => element.declare(`${name}[${length}]`),
        initializer: `{${value.map(() => element.initializer).join(",")}}`,
        value: ArrayBuffer.isView(empty)
          ? (empty.constructor as unknown as { from(values: unknown[]): unknown }).from(value)
          : value,
      };
    }
    if (kind < 2 || depth > 1) {
      const fields = Array.from(
        { length: 1 + Math.floor(random() * 6) },
        (_, i) => [`f${i}`, make(Math.max(0, depth - 1))] as const,
      );
      return {
        layout: struct(Object.fromEntries(fields.map(([name, field]) => [name, field.layout]))),
        declare: (name) => `struct { ${fields.map(([name, field]) => field.declare(name) + ";").join(" ")} } ${name}`,
        initializer: `{${fields.map(([, field]) => field.initializer).join(",")}}`,
        value: Object.fromEntries(fields.map(([name, field]) => [name, field.value])),
      };
    }
    return pick(scalars)();
  };
  return make;
}

/** Numbers that are the same in every run (mulberry32). */
function randomFrom(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const make = samples(randomFrom(7));
const structs = Array.from({ length: 100 }, () => make(3)).filter((sample) =>
  sample.layout.description.startsWith("{")
);
structs.push({
  layout: struct({ c: u8, d: bytes(5), s: i16 }),
  declare: (name) => `struct { uint8_t c; uint8_t d[5]; int16_t s; } ${name}`,
  initializer: "{1, {2, 3, 4, 5, 6}, 7}",
  value: { c: 1, d: new Uint8Array([2, 3, 4, 5, 6]), s: 7 },
});
const dump = () => `
#include <stdint.h>
#include <stdio.h>
static void dump(const void *bytes, size_t size, size_t alignment) {
  const unsigned char *byte = bytes;
  printf("%zu %zu ", size, alignment);
  for (size_t i = 0; i < size; i++) printf("%02x", byte[i]);
  puts("");
}
${structs.map((sample, i) => `static ${sample.declare(`v${i}`)} = ${sample.initializer};`).join("\n")}
int main(void) { ${
  structs.map((_, i) => `dump(&v${i}, sizeof v${i}, _Alignof(__typeof__(v${i})));`).join("\n")
} return 0; }
`;

cTest("Structs lie in memory as a C compiler lays them out", dump, (_cell, program) => {
  const lines = new TextDecoder().decode(new Deno.Command(program).outputSync().stdout).trim().split("\n");
  assertEquals(lines.length, structs.length);
  for (const [i, { layout, value }] of structs.entries()) {
    const [size, alignment, hex] = lines[i]!.split(" ");
    assertEquals([layout.size, layout.alignment], [Number(size), Number(alignment)], layout.description);
    const memory = Uint8Array.fromHex(hex!);
    assertEquals(layout.read(new DataView(memory.buffer), 0), value, layout.description);
    // Written by Deno, the bytes are the same, but for the padding, which is 0 in both.
    const written = new Uint8Array(layout.size);
    layout.write(new DataView(written.buffer), 0, value);
    assertEquals(written.toHex(), hex, layout.description);
  }
});
