// Cells without contention: `deno bench --allow-ffi bench/cells_bench.ts`. The goals stand beside what they are for.
import { array, f64, i32, IpcArc, struct, u32, u64 } from "../arc/mod.ts";

const id = crypto.randomUUID();
const small = { id: 1, name: "isthmus", ok: true, pos: [1, 2] };
const cbor = IpcArc.create(`bench-cbor-${id}`, small);
const pod = IpcArc.create(`bench-pod-${id}`, { n: 0, x: 0, y: 0 }, { layout: struct({ n: u32, x: f64, y: f64 }) });
const samples = IpcArc.create(`bench-samples-${id}`, new Float64Array(64), { layout: array(f64, 64) });
const counter = IpcArc.create(`bench-i32-${id}`, 0, { layout: i32 });
const large = IpcArc.create(`bench-u64-${id}`, 0n, { layout: u64 });
const { atomic } = counter, atomic64 = large.atomic;

Deno.bench("lock and unlock (goal: 1 µs)", { group: "lock" }, () => {
  cbor.acquireSync().release();
});

Deno.bench("lock, write a POD field, unlock (goal: 500 ns)", { group: "lock" }, () => {
  const guard = pod.acquireSync();
  guard.value.x = 1;
  guard.release();
});

Deno.bench("the same with `using`", { group: "lock" }, () => {
  using guard = pod.acquireSync();
  guard.value.x = 1;
});

Deno.bench("lock, write an element of a typed array, unlock", { group: "lock" }, () => {
  const guard = samples.acquireSync();
  guard.value[1] = 1;
  guard.release();
});

Deno.bench("lock and unlock with await", { group: "lock" }, async () => {
  (await cbor.acquire()).release();
});

Deno.bench("atomic.add of 32 bits (goal: 60 ns)", { group: "atomic" }, () => {
  atomic.add(1);
});

Deno.bench("atomic.add of 64 bits", { group: "atomic" }, () => {
  atomic64.add(1n);
});

Deno.bench("read() of a small CBOR value (goal: 1.5 µs)", { group: "read" }, () => {
  cbor.read();
});

Deno.bench("read() of a struct", { group: "read" }, () => {
  pod.read();
});

Deno.bench("read() of a number", { group: "read" }, () => {
  counter.read();
});

Deno.bench("updateSync() of a small CBOR value", { group: "update" }, () => {
  cbor.updateSync((value) => ({ ...value, id: value.id + 1 }));
});

Deno.bench("a change inside guard.value, CBOR", { group: "update" }, () => {
  const guard = cbor.acquireSync();
  guard.value.id++;
  guard.release();
});

Deno.bench("create and close", { group: "life" }, () => {
  IpcArc.create(`bench-new-${id}`, 1, { capacity: 100 }).close();
});
