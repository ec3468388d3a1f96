// How much processor time this thread has had: what it took itself, whatever else runs on the machine.
const CLOCK_THREAD_CPUTIME_ID = 3;

let clock: ((time: BigInt64Array<ArrayBuffer>) => unknown) | undefined;
const time = new BigInt64Array(2);

/** Milliseconds of processor time of this thread. */
export function threadTime(): number {
  clock ??= open();
  clock(time);
  return Number(time[0]) * 1000 + Number(time[1]) / 1e6;
}

function open(): (time: BigInt64Array<ArrayBuffer>) => unknown {
  const { symbols } = Deno.dlopen("libc.so.6", {
    clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  });
  return (time) => symbols.clock_gettime(CLOCK_THREAD_CPUTIME_ID, new Uint8Array(time.buffer));
}

// Stays open for the life of the isolate, so no test must be the first that opens it.
if (Deno.permissions.querySync({ name: "ffi" }).state === "granted") threadTime();
