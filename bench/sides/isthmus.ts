// This package, in each way of using it.
import type { Side, Workload } from "../harness/workload.ts";

const MAIN = new URL("./isthmus_main.ts", import.meta.url).pathname;

/** How the two ends are used. */
export type Style =
  | "bytes-sync"
  | "bytes-async"
  | "bytes-into"
  | "bytes-borrowed"
  | "bytes-borrowed-batches"
  | "bytes-loaned"
  | "bytes-loaned-batches"
  | "bytes-loaned-async"
  | "typed-sync"
  | "typed-async"
  | "typed-borrowed"
  | "operations";

function side(style: Style, title: string, takes: (workload: Workload) => boolean): Side {
  return {
    id: `isthmus-${style}`,
    title: `Isthmus ${title}`,
    ours: true,
    takes,
    command: (workload) => [Deno.execPath(), "run", "--allow-all", "--quiet", MAIN, style, JSON.stringify(workload)],
  };
}

const isBytes = ({ kind, payload }: Workload) => kind !== "operation" && payload === "bytes";
const roundTrip = (workload: Workload) => workload.kind === "round-trip" && isBytes(workload);
/** Where views cost more than messages. */
const small = (workload: Workload) => oneWay(workload) && workload.size <= 1024;
const oneWay = (workload: Workload) => workload.kind === "one-way" && isBytes(workload);

/** All of them. */
export const isthmus: readonly Side[] = [
  side("bytes-sync", "bytes, sync", isBytes),
  side("bytes-async", "bytes, async", isBytes),
  side("bytes-into", "bytes, sync, into the caller's memory", oneWay),
  side("bytes-borrowed", "bytes, sync, borrowed", oneWay),
  side("bytes-borrowed-batches", "bytes, sync, borrowed in batches", small),
  side("bytes-loaned-batches", "bytes, sync, loaned and borrowed in batches", small),
  side("bytes-loaned", "bytes, sync, loaned and borrowed", isBytes),
  side("bytes-loaned-async", "bytes, async, loaned and borrowed", roundTrip),
  side("typed-sync", "CBOR, sync", ({ kind }) => kind !== "operation"),
  side("typed-async", "CBOR, async", ({ kind, payload }) => kind !== "operation" && payload !== "frame"),
  side("typed-borrowed", "CBOR, sync, borrowed", ({ kind, payload }) => kind === "one-way" && payload === "frame"),
  side("operations", "", ({ kind }) => kind === "operation"),
];
