// All columns of the results. A new one is a file of its own and a line here.
import type { Side } from "../harness/workload.ts";
import { broadcast } from "./broadcast.ts";
import { c } from "./c.ts";
import { calls } from "./calls.ts";
import { denoSocket } from "./deno_socket.ts";
import { denoWorker } from "./deno_worker.ts";
import { iceoryx2 } from "./iceoryx2.ts";
import { isthmus } from "./isthmus.ts";
import { nodeFork } from "./node_fork.ts";
import { rust } from "./rust.ts";
import { zeromq } from "./zeromq.ts";

/** The sides that take part: with the programs that must be built, or only those that the targets speak of. */
export function sidesOf(peers: boolean, quick: boolean): Side[] {
  if (quick) return [...isthmus, denoSocket, ...c, ...(peers ? [...iceoryx2, ...rust] : [])];
  return [
    ...isthmus,
    denoSocket,
    denoWorker,
    nodeFork,
    ...(peers ? [zeromq, ...c, ...iceoryx2, ...rust, ...calls, ...broadcast] : []),
  ];
}
