// Calls into C on another thread, where the runtime has none of its own: a Worker makes them, one after another.
import process from "node:process";

/** What is used of a Worker of `node:worker_threads`. */
interface Worker {
  on(event: "message", listener: (result: number) => void): void;
  on(event: "error", listener: (cause: unknown) => void): void;
  postMessage(message: unknown): void;
  ref(): void;
  unref(): void;
}

interface WorkerThreads {
  readonly isMainThread: boolean;
  readonly Worker: new (code: string, options: { eval: true; workerData: unknown }) => Worker;
}

interface Waiting {
  readonly resolve: (result: number) => void;
  readonly reject: (cause: unknown) => void;
}

/** Threads, where the runtime has any. */
export function threads(): WorkerThreads | undefined {
  return process.getBuiltinModule?.("node:worker_threads") as unknown as WorkerThreads | undefined;
}

const ANSWER = `
const { parentPort } = require("node:worker_threads");
parentPort.on("message", (args) => parentPort.postMessage(call(...args)));
`;

/**
 * A function that a Worker calls; it keeps the process alive only while it runs.
 *
 * @param define Code that defines `call`, given what `workerData` is.
 */
export function callByWorker(define: string, workerData: unknown): (...args: unknown[]) => Promise<number> {
  const waiting: Waiting[] = [];
  let worker: Worker | undefined;
  const start = () => {
    const started = new (threads()!.Worker)(define + ANSWER, { eval: true, workerData });
    started.on("message", (result) => {
      waiting.shift()?.resolve(result);
      if (waiting.length === 0) started.unref();
    });
    started.on("error", (cause) => {
      if (worker === started) worker = undefined;
      for (const { reject } of waiting.splice(0)) reject(cause);
    });
    return started;
  };
  return (...args) =>
    new Promise((resolve, reject) => {
      worker ??= start();
      waiting.push({ resolve, reject });
      worker.ref();
      worker.postMessage(args);
    });
}
