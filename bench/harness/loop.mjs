// @ts-self-types="./loop.d.mts"
// The loop of every side that is written in TypeScript or JavaScript: warm up, then count until the time is over.
// JavaScript, as Node.js runs it too.
import { readFileSync } from "node:fs";
import process from "node:process";

const TICK = 10_000_000; // nanoseconds: Linux counts processor time in hundredths of a second

/** How many operations go between two looks at the clock: a look costs about as much as a small message. */
function batchOf({ kind, size }) {
  return Math.max(1, Math.min(kind === "round-trip" ? 32 : 512, Math.floor((1 << 18) / (size + 64))));
}

/** Processor time of some processes so far, in nanoseconds. */
export function processorTime(pids) {
  let ticks = 0;
  for (const pid of pids) {
    try {
      const text = readFileSync(`/proc/${pid}/stat`, "utf8");
      const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
      ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      // It has ended.
    }
  }
  return ticks * TICK;
}

/** Measures something that blocks. `pids`: the other processes that work on it. */
export function measureSync(workload, pids, operation) {
  const batch = batchOf(workload);
  const run = (milliseconds) => {
    const begin = performance.now();
    let ops = 0, now = begin;
    do {
      for (let i = 0; i < batch; i++) operation();
      ops += batch;
      now = performance.now();
    } while (now - begin < milliseconds);
    return { ops, ns: (now - begin) * 1e6 };
  };
  run(workload.warmUp);
  const before = processorTime([process.pid, ...pids]);
  const result = run(workload.measure);
  return { ...result, cpu: processorTime([process.pid, ...pids]) - before };
}

/** Measures something that is awaited. */
export async function measureAsync(workload, pids, operation) {
  const batch = batchOf(workload);
  const run = async (milliseconds) => {
    const begin = performance.now();
    let ops = 0, now = begin;
    do {
      for (let i = 0; i < batch; i++) await operation();
      ops += batch;
      now = performance.now();
    } while (now - begin < milliseconds);
    return { ops, ns: (now - begin) * 1e6 };
  };
  await run(workload.warmUp);
  const before = processorTime([process.pid, ...pids]);
  const result = await run(workload.measure);
  return { ...result, cpu: processorTime([process.pid, ...pids]) - before };
}
