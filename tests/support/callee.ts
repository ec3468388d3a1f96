// A program with methods, or with calls, that spawn() starts in tests; its arguments say what it does, and where it dies.
import { type Call, expose, type IpcDuplex, parent, remote } from "../../mod.ts";
import { setStepHook } from "../../base/step_hook.ts";

/** This module. */
export const CALLEE = new URL(import.meta.url);

export const api = {
  add: (a: number, b: number) => a + b,
  pid: () => Deno.pid,
  /** Blocks the thread, once it has said so. */
  block(line: IpcDuplex<string, never>) {
    line.sendSync("blocking");
    for (;;);
  },
  /** Never answers. */
  wait(this: Call): Promise<never> {
    return new Promise((_, reject) => this.signal.addEventListener("abort", () => reject(this.signal.reason)));
  },
  /** Yields without end. */
  async *ticks() {
    for (let n = 0;; n++) yield n;
  },
  /** Dies. */
  die() {
    Deno.kill(Deno.pid, "SIGKILL");
  },
};

/** What the parent exposes to a program that calls. */
export interface Parent {
  note(word: string): string;
  wait(): Promise<never>;
}

/** Kills this process when it comes to a step for the how-manieth time. */
function dieAt(step: string, occurrence: number): void {
  let reached = 0;
  setStepHook((name) => name === step && ++reached === occurrence && Deno.kill(Deno.pid, "SIGKILL"));
}

if (import.meta.main) {
  const [role, step, occurrence] = Deno.args;
  const line = parent();
  if (step !== undefined) dieAt(step, Number(occurrence));
  if (role === "callee") await expose(line, api);
  else {
    const caller = remote<Parent>(line);
    for (const word of ["one", "two", "three"]) await caller.note(word);
    await caller.wait();
  }
}
