// The other process of the tests of cells: runs one function that a test hands it as text.
//
// Started by `child()` in arc_processes.ts with the function's source and its arguments, as JSON, in one argument.
import * as arc from "../../arc/mod.ts";
import * as registry from "../../arc/inspect/mod.ts";
import { setStepHook } from "../../base/step_hook.ts";
import { self as line } from "./actor.ts";

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
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4096);
  let heard = "";
  const signalAt = (name: string, signal: Deno.Signal, nth = 1) =>
    setStepHook((step) => {
      if (step === name && --nth === 0) Deno.kill(Deno.pid, signal);
    });
  const io: ChildIo = {
    say: line.say,
    async hear() {
      // No stream: it would read ahead, and a pending read keeps the process alive.
      while (!heard.includes("\n")) {
        const length = await Deno.stdin.read(buffer);
        if (length === null) throw new Error("the test has gone");
        heard += decoder.decode(buffer.subarray(0, length), { stream: true });
      }
      const end = heard.indexOf("\n");
      const word = heard.slice(0, end);
      heard = heard.slice(end + 1);
      return JSON.parse(word);
    },
    dieAt: (step, nth) => signalAt(step, "SIGKILL", nth),
    stopAt: (step) => signalAt(step, "SIGSTOP"),
  };
  const { default: main } = await import(`data:text/javascript,${encodeURIComponent(`export default ${source}`)}`);
  await main(io, { ...arc, ...registry }, ...args);
}
