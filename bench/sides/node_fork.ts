// Node.js: child_process.fork with "advanced" serialization.
import type { Side } from "../harness/workload.ts";

const MAIN = new URL("./node_fork.mjs", import.meta.url).pathname;

export const nodeFork: Side = {
  id: "node-fork",
  title: "Node.js fork, advanced",
  takes: ({ kind, payload, senders }) => kind !== "operation" && payload !== "frame" && senders === 1,
  prepare: () =>
    new Deno.Command("node", { args: ["--version"], stdout: "null" }).output().then(
      () => undefined,
      () => "node is not there",
    ),
  command: (workload) => ["node", MAIN, JSON.stringify(workload)],
};
