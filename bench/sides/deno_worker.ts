// Deno's Worker with postMessage: threads of one process, which share what processes cannot.
import type { Side } from "../harness/workload.ts";

const MAIN = new URL("./deno_worker_main.mjs", import.meta.url).pathname;

export const denoWorker: Side = {
  id: "deno-worker",
  title: "Deno Worker, postMessage (threads)",
  takes: ({ kind, payload, senders }) => kind !== "operation" && payload !== "frame" && senders === 1,
  command: (workload) => [Deno.execPath(), "run", "--allow-all", "--quiet", MAIN, JSON.stringify(workload)],
};
