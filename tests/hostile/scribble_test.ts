// A peer writes into the ring and its socket at full speed while calls run: none takes longer than it may.
import { assert } from "@std/assert";
import { IpcError } from "../../mod.ts";
import { patience } from "../support/patience.ts";
import { processTest } from "../support/test.ts";
import { numberArgument } from "../support/test_arguments.ts";
import { threadTime } from "../support/thread_clock.ts";
import { victim } from "./forge.ts";
import { scribble, type Way, WAYS } from "./scribblers.ts";

/** Milliseconds for which each is done; `deno task test:hostile` asks for more. */
const DURATION = numberArgument("scribble", 400);

/** So many blocks that going over all of them takes longer than a call may. */
const CAPACITY = 64 << 20;

/** How long a call may take beyond its time-out, and one that does not wait, in milliseconds. */
const LATE = 50, AT_ONCE = 5;

/**
 * How long calls of a kind take. What does not wait is measured by the processor time that it takes; waits by the clock, on
 * a machine where others run as well.
 */
class Times {
  calls = 0;
  late = 0;
  most = 0;
  longest = 0;

  constructor(readonly what: string, readonly clock: () => number, readonly limit: number) {}

  measure(call: () => unknown): void {
    const began = this.clock(), since = performance.now();
    try {
      call();
    } catch (error) {
      if (!(error instanceof IpcError)) throw error;
    }
    const took = this.clock() - began;
    this.calls++;
    if (took > this.limit) this.late++;
    this.most = Math.max(this.most, took);
    this.longest = Math.max(this.longest, performance.now() - since);
  }

  check(): void {
    const seen = `${this.what}: ${this.late} of ${this.calls} calls took longer than ${this.limit} ms, the longest ` +
      `${this.most.toFixed(1)} ms, ${this.longest.toFixed(1)} ms by the clock`;
    assert(this.late <= 2 + this.calls / 20, seen);
    assert(this.longest < patience(1500), seen);
  }
}

for (const way of Object.keys(WAYS) as Way[]) {
  processTest(`No call takes longer than it may beside ${way}`, async ({ start }) => {
    const { sender, receiver, raw, close } = victim<unknown>(CAPACITY);
    const child = await start(import.meta.url, scribble, { raw, way, seed: 7, times: Infinity });
    if (way.includes("no sender left")) sender.close(), raw.bell.close();
    await child.said();
    const tries = new Times("without a wait", threadTime, AT_ONCE);
    const many = new Times("recvMany()", threadTime, 4 * AT_ONCE);
    const waits = new Times("receiving", () => performance.now(), 10 + LATE);
    const sends = new Times("sending", () => performance.now(), 10 + LATE);
    const before = Deno.memoryUsage().rss;
    for (const until = performance.now() + DURATION; performance.now() < until;) {
      tries.measure(() => receiver.tryRecv());
      many.measure(() => receiver.recvMany());
      waits.measure(() => receiver.recvSync({ timeout: 10 }));
      if (sender.closed) continue;
      tries.measure(() => sender.trySend(1));
      sends.measure(() => sender.sendSync("text ".repeat(200), { timeout: 10 }));
    }
    for (const times of [tries, many, waits, sends]) times.check();
    const grown = (Deno.memoryUsage().rss - before) / 2 ** 20;
    assert(grown < 200, `${grown} MiB more than before`);
    await child.kill();
    close();
  });
}

export { scribble };
