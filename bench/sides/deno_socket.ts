// A Deno Unix socket: what a program would use without this package.
import type { Side } from "../harness/workload.ts";

const MAIN = new URL("./deno_socket_main.ts", import.meta.url).pathname;

/** Length before each message; many messages in one write when there are many. */
export const denoSocket: Side = {
  id: "deno-socket",
  title: "Deno Unix socket, async",
  takes: ({ kind, payload, senders }) => kind !== "operation" && payload !== "frame" && senders === 1,
  command: (workload) => [Deno.execPath(), "run", "--allow-all", "--quiet", MAIN, JSON.stringify(workload)],
};
