// The other process of the tests of cells: runs one function that a test hands it as text.
//
// Started by `child()` in arc_processes.ts with the function's source and its arguments, as JSON, in one argument.
import * as arc from "../../arc/mod.ts";
import * as registry from "../../arc/registry.ts";
import { setStepHook } from "../../ffi/step_hook.ts";
import { lines } from "./arc_lines.ts";

/** What the function gets to talk to the test with. */
export interface ChildIo {
  /** Sends a value to the test. */
  say(value: unknown): void;
  /** The next value from the test. */
  hear(): Promise<unknown>;
  /** Kills this process, as `kill -9` does, the `nth` time that it comes to a named step. */
  dieAt(step: string, nth?: number): void;
  /** Stops this process, as `kill -STOP` does, at a named step; the test continues it. */
  stopAt(step: string): void;
}

if (import.meta.main) {
  const { source, args } = JSON.parse(Deno.args[0]!) as { source: string; args: unknown[] };
  const incoming = lines(Deno.stdin.readable);
  const signalAt = (name: string, signal: Deno.Signal, nth = 1) =>
    setStepHook((step) => {
      if (step === name && --nth === 0) Deno.kill(Deno.pid, signal);
    });
  const io: ChildIo = {
    say(value) {
      const line = new TextEncoder().encode(JSON.stringify(value) + "\n");
      for (let done = 0; done < line.length;) done += Deno.stdout.writeSync(line.subarray(done));
    },
    async hear() {
      const { value, done } = await incoming.next();
      if (done) throw new Error("the test has gone");
      return JSON.parse(value);
    },
    dieAt: (step, nth) => signalAt(step, "SIGKILL", nth),
    stopAt: (step) => signalAt(step, "SIGSTOP"),
  };
  const { default: main } = await import(`data:text/javascript,${encodeURIComponent(`export default ${source}`)}`);
  await main(io, { ...arc, ...registry }, ...args);
}
