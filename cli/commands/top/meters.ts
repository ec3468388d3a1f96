// A meter for each channel, as long as it is there.
import { type Flow, FlowMeter } from "../../program/flow_meter.ts";

/** Most channels that are measured: each costs two looks every 20 ms. */
const MOST = 200;

/** Meters, by the paths of their channels. */
export class Meters implements Disposable {
  readonly #meters = new Map<string, FlowMeter>();

  /**
   * What each has measured since the last time. Those that are new are measured from now on.
   *
   * @param paths The channels that are there; all others are measured no more.
   */
  take(paths: readonly string[]): ReadonlyMap<string, Flow | undefined> {
    const there = new Set(paths), flows = new Map<string, Flow | undefined>();
    for (const [path, meter] of this.#meters) if (!there.has(path) || !meter.current) this.#end(path);
    for (const path of there) {
      const meter = this.#meters.get(path);
      if (meter !== undefined) flows.set(path, meter.take());
      else if (this.#meters.size < MOST) this.#begin(path);
    }
    return flows;
  }

  #begin(path: string): void {
    const meter = FlowMeter.open(path);
    if (meter !== undefined) this.#meters.set(path, meter);
  }

  #end(path: string): void {
    this.#meters.get(path)?.[Symbol.dispose]();
    this.#meters.delete(path);
  }

  /** Measures no more. */
  [Symbol.dispose](): void {
    for (const path of [...this.#meters.keys()]) this.#end(path);
  }
}
