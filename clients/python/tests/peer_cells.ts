// Deno's side of the tests of cells.
import { array, bool, f64, IpcArc, struct, u16, u32 } from "../../../mod.ts";
import type { Scenario } from "./peer_line.ts";

interface Pair {
  a: number;
  b: number;
}

const reading = struct({ id: u32, x: f64, hits: array(u16, 3), ok: bool });

export const cells: Record<string, Scenario> = {
  /** Holds a cell with a value until told to go, and says what it is then. */
  "cell-hold"(self, [name, value]) {
    using arc = IpcArc.create(name, value);
    self.say();
    self.hear();
    self.say(arc.read());
  },
  "cell-add"(self, [name, times]) {
    using arc = IpcArc.load<{ n: number }>(name);
    self.say();
    self.hear();
    for (let i = 0; i < times; i++) arc.updateSync((value) => ({ ...value, n: value.n + 1 }));
    self.say();
  },
  "cell-pairs"(self, [name]) {
    using arc = IpcArc.load<Pair & { fill: string }>(name);
    self.say();
    self.hear();
    for (let i = 1; i <= 20_000; i++) arc.updateSync(() => ({ a: i, b: i, fill: "x".repeat(i % 500) }));
    self.say();
  },
  "cell-struct"(self, [name]) {
    const value = { id: 4_000_000_000, x: -0.125, hits: new Uint16Array([1, 2, 65535]), ok: true };
    using arc = IpcArc.create(name, value, { layout: reading });
    self.say();
    self.hear();
    const { id, x, hits, ok } = arc.read();
    self.say([id, x, [...hits], ok]);
  },
  "cell-atomic"(self, [name, times]) {
    using arc = IpcArc.load<number>(name, { layout: u32 });
    self.say();
    self.hear();
    for (let i = 0; i < times; i++) arc.atomic.add(1);
    self.say();
  },
  async "cell-die-holding"(self, [name]) {
    using arc = IpcArc.load<number>(name);
    const guard = await arc.acquire();
    guard.value = 99; // never published
    self.say();
    self.hear();
  },
  async "cell-lock-later"(self, [name]) {
    using arc = IpcArc.load<number>(name);
    self.say();
    const guard = await arc.acquire();
    const { ownerDied, value } = guard;
    guard.release();
    self.say([ownerDied, value]);
  },
  "cell-set"(self, [name]) {
    using arc = IpcArc.load<unknown>(name);
    self.say();
    for (let value = self.hear(); value !== null; value = self.hear()) {
      arc.updateSync(() => value);
      self.say();
    }
  },
  async "cell-watch"(self, [name, last]) {
    using arc = IpcArc.load<number>(name);
    const changes = arc.watch()[Symbol.asyncIterator]();
    const next = changes.next();
    self.say();
    let { value } = await next;
    while (value !== last) ({ value } = await changes.next());
    self.say(value);
    await changes.return!();
  },
};
