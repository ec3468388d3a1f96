// What Node.js and Bun say in the same way: the process, its threads, timers and the exit.
import process from "node:process";
import { threads } from "./other_thread.ts";
import type { Runtime } from "./runtime.ts";

/** As the tables of `ffi/libc/platform.ts` are named. */
function target(): string {
  const names: Record<string, string> = { x64: "x86_64", arm64: "aarch64" };
  return `${process.platform}-${names[process.arch] ?? process.arch}`;
}

/** The same part of both runtimes. */
export const nodeProcess = (): Pick<
  Runtime,
  "target" | "pid" | "isWorker" | "errorClasses" | "atExit" | "timerAwaited"
> => ({
  target: target(),
  pid: process.pid,
  isWorker: threads()?.isMainThread === false,
  errorClasses: [],
  atExit: (act) => void process.on("exit", act),
  timerAwaited(timer, value) {
    const handle = timer as unknown as { ref(): void; unref(): void };
    if (value) handle.ref();
    else handle.unref();
  },
});
