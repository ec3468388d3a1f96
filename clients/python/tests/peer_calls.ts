// Deno's side of the tests of calls.
import { expose, IpcError, IpcServer, remote } from "../../../mod.ts";
import type { Scenario } from "./peer_line.ts";

// deno-lint-ignore no-explicit-any -- whatever the test sends
type Any = any;

/** What a Python program exposes, and what it does not. */
interface Api {
  add(a: number, b: number): number;
  count(to: number): AsyncIterable<number>;
  fail(how: string): void;
  unsendable(): void;
  missing(): void;
  _hidden(): void;
}

export const calls: Record<string, Scenario> = {
  /** Exposes methods to a Python program. */
  async "expose"(self) {
    using server = new IpcServer<Any, Any>();
    self.say(server.name);
    using line = await server.accept();
    let stopped = "";
    await expose(line, {
      add: (a: number, b: number) => a + b,
      echo: (value: unknown) => value,
      nothing: () => {},
      range: () => {
        throw new RangeError("out of it");
      },
      type: () => {
        throw new TypeError("of another kind");
      },
      own: () => {
        throw Object.assign(new Error("mine"), { name: "MyError" });
      },
      ipc: () => {
        throw new IpcError("NotFound", "not here");
      },
      value: () => {
        throw 42;
      },
      hang(this: Any) {
        return new Promise<void>((resolve) =>
          this.signal.addEventListener("abort", () => {
            stopped = "yes";
            resolve();
          })
        );
      },
      stopped: () => stopped,
      async *count(to: number) {
        for (let n = 0; n < to; n++) yield n;
      },
      async *broken() {
        yield 1;
        throw new RangeError("half-way");
      },
      die: () => Deno.exit(7),
    });
    self.say("resolved");
  },
  /** Calls what a Python program exposes. */
  async "call"(self, [name]) {
    using line = IpcServer.connect<Any, Any>(name);
    const there = remote<Api>(line);
    const failed = async (call: () => Promise<unknown>) => {
      try {
        return await call();
      } catch (error) {
        const { name, message, code, delivered } = error as Any;
        return [name, message, code ?? null, delivered ?? null];
      }
    };
    self.say(await Promise.all(Array.from({ length: 200 }, (_, n) => there.add(n, 1))));
    self.say(await Array.fromAsync(there.count(100)));
    const some = [];
    for await (const n of there.count(1_000_000)) if (some.push(n) === 3) break;
    self.say(some);
    self.say(await failed(() => there.fail("value")));
    self.say(await failed(() => there.fail("type")));
    self.say(await failed(() => there.fail("key")));
    self.say(await failed(() => there.fail("ipc")));
    self.say(await failed(() => there.missing()));
    self.say(await failed(() => there._hidden()));
    self.say(await failed(() => there.unsendable()));
    self.say(await there.add(2, 2));
    self.hear();
  },
  /** What no caller may do. */
  async "violate"(self, [name, frames]) {
    using line = IpcServer.connect<Any, Any>(name);
    try {
      for (const frame of frames) await line.send(frame);
      for await (const _ of line);
    } catch { /* closed by the other side */ }
    self.say("closed");
  },
};
