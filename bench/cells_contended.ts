// Cells under contention, between processes: `deno run --allow-all bench/cells_contended.ts`.
//
// - hand-over: two processes take turns under one lock, and the same loop in C (goal: at most twice as long)
// - waking: how long after a release elsewhere, or a change, an `await` goes on
// - crowd: 50 processes that contend, and the longest that one of them waited
import { IpcArc, struct, u32 } from "../arc/mod.ts";

/** How long the two processes race, in milliseconds. */
const RACE = 1000;

/** This file is its own other process: its first argument says which. */
const roles: Record<string, (cell: string, side: string) => unknown> = {
  async increment(cell, side) {
    using arc = IpcArc.load(cell, { layout: u32 });
    const mine = Number(side);
    console.log("ready");
    await line();
    const end = performance.now() + RACE;
    let n = 0;
    while (performance.now() < end) {
      for (let i = 0; i < 100; i++) {
        const guard = arc.acquireSync();
        const value = guard.value;
        if (value % 2 === mine) {
          guard.value = value + 1;
          n++;
        }
        guard.release();
      }
    }
    console.log(n);
  },
  async release(cell) {
    // Holds the lock, and gives it back at a moment that it writes into the value.
    using arc = IpcArc.load<number>(cell);
    for (;;) {
      const guard = arc.acquireSync();
      console.log("held");
      if (await line() === "end") return;
      guard.value = clock();
      guard.release();
      await line();
    }
  },
  async change(cell) {
    using arc = IpcArc.load<number>(cell);
    console.log("ready");
    while (await line() !== "end") arc.updateSync(clock);
  },
  async crowd(cell) {
    using arc = IpcArc.load(cell, { layout: struct({ n: u32, worst: u32 }) });
    console.log("ready");
    await line();
    for (let i = 0; i < 200; i++) {
      const start = performance.now();
      using guard = await arc.acquire();
      const waited = Math.round((performance.now() - start) * 1000);
      guard.value.n++;
      if (waited > guard.value.worst) guard.value.worst = waited;
    }
  },
};

/** One clock for all processes, in milliseconds; they agree to some 20 µs. */
function clock(): number {
  return performance.timeOrigin + performance.now();
}

const buffer = new Uint8Array(64);
async function line(): Promise<string> {
  const length = await Deno.stdin.read(buffer);
  return length === null ? "end" : new TextDecoder().decode(buffer.subarray(0, length)).trim();
}

class Peer {
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamDefaultReader<string>;
  constructor(program: string, ...args: string[]) {
    this.#process = new Deno.Command(program, { args, stdin: "piped", stdout: "piped" }).spawn();
    this.#input = this.#process.stdin.getWriter();
    this.#output = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }
  static deno(role: string, cell: string, side = 0): Peer {
    return new Peer(Deno.execPath(), "run", "-A", import.meta.filename!, role, cell, String(side));
  }
  async say(text: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(text + "\n"));
  }
  async hear(): Promise<string> {
    return (await this.#output.read()).value?.trim() ?? "";
  }
  async end(): Promise<void> {
    await this.#input.close();
    await this.#process.status;
  }
}

/** Nanoseconds a turn. */
async function race(peers: Peer[]): Promise<number> {
  for (const peer of peers) await peer.hear();
  await Promise.all(peers.map((peer) => peer.say("go")));
  const counts = await Promise.all(peers.map(async (peer) => Number(await peer.hear())));
  await Promise.all(peers.map((peer) => peer.end()));
  return RACE * 1e6 / counts.reduce((sum, n) => sum + n);
}

function median(numbers: number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;
}

async function main(): Promise<void> {
  const id = crypto.randomUUID();
  const folder = await Deno.makeTempDir();
  const program = `${folder}/arc_contended`;
  const source = new URL("./peers/arc_contended.c", import.meta.url).pathname;
  await new Deno.Command("gcc", { args: ["-O2", "-pthread", "-o", program, source] }).output();
  const ours: number[] = [], theirs: number[] = [];
  for (let round = 0; round < 5; round++) {
    using _arc = IpcArc.create(`bench-${id}-${round}`, 0, { layout: u32 });
    ours.push(await race([0, 1].map((side) => Peer.deno("increment", `bench-${id}-${round}`, side))));
    const file = `${folder}/cell-${round}`;
    theirs.push(await race([0, 1].map((side) => new Peer(program, file, String(RACE), String(side)))));
  }
  await Deno.remove(folder, { recursive: true });
  const [deno, c] = [median(ours), median(theirs)];
  console.log(`hand-over: ${deno.toFixed(0)} ns a turn, C ${c.toFixed(0)} ns, ratio ${(deno / c).toFixed(2)}`);

  {
    using arc = IpcArc.create(`bench-${id}-wake`, 0);
    const peer = Peer.deno("release", arc.name);
    const waits: number[] = [];
    for (let i = 0; i < 200; i++) {
      await peer.hear();
      const pending = arc.acquire();
      await peer.say("release");
      const guard = await pending;
      waits.push(clock() - guard.value);
      guard.release();
      await peer.say("again");
    }
    await peer.hear();
    await peer.end();
    console.log(
      `waking a waiter: ${(median(waits) * 1000).toFixed(0)} µs, at most ${(Math.max(...waits) * 1000).toFixed(0)} µs`,
    );
  }
  {
    using arc = IpcArc.create(`bench-${id}-watch`, 0);
    const peer = Peer.deno("change", arc.name);
    await peer.hear();
    const waits: number[] = [];
    const changes = arc.watch()[Symbol.asyncIterator]();
    for (let i = 0; i < 200; i++) {
      const next = changes.next();
      await peer.say("change");
      waits.push(clock() - (await next).value);
    }
    await changes.return!();
    await peer.end();
    console.log(
      `waking a watcher: ${(median(waits) * 1000).toFixed(0)} µs, at most ${(Math.max(...waits) * 1000).toFixed(0)} µs`,
    );
  }
  {
    using arc = IpcArc.create(`bench-${id}-crowd`, { n: 0, worst: 0 }, { layout: struct({ n: u32, worst: u32 }) });
    const peers = Array.from({ length: 50 }, () => Peer.deno("crowd", arc.name));
    for (const peer of peers) await peer.hear();
    const start = performance.now();
    await Promise.all(peers.map((peer) => peer.say("go")));
    await Promise.all(peers.map((peer) => peer.end()));
    const { n, worst } = arc.read();
    console.log(
      `crowd: 50 processes took ${n} locks in ${(performance.now() - start).toFixed(0)} ms; ` +
        `the longest wait was ${(worst / 1000).toFixed(1)} ms`,
    );
  }
}

const [role, cell, side] = Deno.args;
if (import.meta.main) await (role === undefined ? main() : roles[role]!(cell!, side!));
