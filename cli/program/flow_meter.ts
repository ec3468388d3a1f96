// How fast messages move through a ring, measured from outside by its positions.
//
// A ring whose receiver is fast enough turns back to its beginning long before its end, to stay in the processor's
// caches, and its positions pass over the rest: up to 4 MiB for 256 KiB of messages. Such a step always ends at the
// beginning of the ring, so what lies between two looks at one lap is exact. Hence many looks, of which those that see
// the ring turn are left out, with their time. That is an estimate: where nothing moves but in those, it is too low.
import { RingPeek } from "../../channel/inspect.ts";
import { isSameFile } from "../../ffi/inspect.ts";

/** Milliseconds between two looks. */
const TICK = 20;

/** Blocks a second, sent and received. */
export interface Flow {
  readonly sent: number;
  readonly received: number;
}

/** What moved, and in how much time. */
class Tally {
  blocks = 0;
  milliseconds = 0;

  /** Adds what moved from one position to another, if the ring has not turned in between. */
  add(before: number, now: number, ring: number, milliseconds: number): void {
    const moved = (now - before) | 0;
    if (moved < 0 || (before & (ring - 1)) + moved >= ring) return;
    this.blocks += moved;
    this.milliseconds += milliseconds;
  }

  /** Blocks a second. */
  get rate(): number {
    return this.blocks / Math.max(this.milliseconds, 1e-3) * 1000;
  }
}

/** The looks at one position since the rate was asked for. */
class Position {
  /** From look to look, and between two looks at once: where a ring turns in every one of the first. */
  #slow = new Tally();
  #fast = new Tally();

  add(before: number, now: number, again: number, ring: number, milliseconds: number, between: number): void {
    this.#slow.add(before, now, ring, milliseconds);
    this.#fast.add(now, again, ring, between);
  }

  /** Blocks a second since it was last asked; `undefined` if there was no look. */
  take(): number | undefined {
    const tally = this.#slow.milliseconds > 0 ? this.#slow : this.#fast;
    this.#slow = new Tally();
    this.#fast = new Tally();
    return tally.milliseconds > 0 ? tally.rate : undefined;
  }
}

/** Looks at one ring again and again, until it is closed. */
export class FlowMeter implements Disposable {
  readonly path: string;
  readonly #ring: RingPeek;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #sent = new Position();
  readonly #received = new Position();
  #last: { readonly tail: number; readonly read: number };
  #at = performance.now();

  private constructor(path: string, ring: RingPeek) {
    this.path = path;
    this.#ring = ring;
    this.#last = ring.counters();
    this.#timer = setInterval(() => this.#look(), TICK);
    Deno.unrefTimer(this.#timer as unknown as number);
  }

  /** Begins to measure; `undefined` if there is no channel at the path that can be opened. */
  static open(path: string): FlowMeter | undefined {
    try {
      const ring = RingPeek.open(path);
      return ring && new FlowMeter(path, ring);
    } catch {
      return undefined;
    }
  }

  /** Whether the path still means this ring. */
  get current(): boolean {
    return isSameFile(this.#ring.status, this.path);
  }

  #look(): void {
    const before = this.#last, began = this.#at;
    const now = this.#ring.counters(), at = performance.now();
    const again = this.#ring.counters(), between = performance.now() - at;
    this.#last = now;
    this.#at = at;
    const { blocks } = this.#ring;
    this.#sent.add(before.tail, now.tail, again.tail, blocks, at - began, between);
    this.#received.add(before.read, now.read, again.read, blocks, at - began, between);
  }

  /** The flow since this was last asked for; `undefined` if that cannot be told. */
  take(): Flow | undefined {
    this.#look();
    const sent = this.#sent.take(), received = this.#received.take();
    return sent === undefined || received === undefined ? undefined : { sent, received };
  }

  /** Looks no more. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#ring.close();
  }
}
