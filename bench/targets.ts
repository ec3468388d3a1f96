// What must be reached: against others in the same run, or in absolute numbers on a machine of that kind.
import type { Row } from "./harness/run.ts";
import { titleOf } from "./harness/workload.ts";

/** What is wanted of one row. */
export interface Target {
  /** Title of the row. */
  readonly row: string;
  /** The side of ours. */
  readonly ours: string;
  /** Nanoseconds an operation that ours may take at most. */
  readonly atMostNs?: number;
  /** The other side, and how many times its time ours may take at most. */
  readonly peer?: string;
  readonly ratio?: number;
  /** What is compared; the time by default. */
  readonly of?: "time" | "processor time";
  /** Title of the row of the other side, if it is another row. */
  readonly peerRow?: string;
}

/** Sizes at which there is something to compare with iceoryx2. */
const IN_PLACE = ["64 B", "1 KiB", "16 KiB", "64 KiB", "1 MiB"];

/** All of them. */
export const TARGETS: readonly Target[] = [
  { row: "one way, 64 B", ours: "isthmus-bytes-sync", atMostNs: 1e9 / 8e6 },
  { row: "one way, 64 B", ours: "isthmus-bytes-sync", peer: "c-seqpacket", ratio: 1 / 5 },
  ...["isthmus-bytes-borrowed-batches", "isthmus-bytes-loaned-batches"].map((ours): Target => (
    { row: "one way, 64 B", ours, atMostNs: 1e9 / 4e6 }
  )),
  { row: "one way, object", ours: "isthmus-typed-sync", atMostNs: 1e9 / 1.5e6 },
  { row: "round trip, 64 B", ours: "isthmus-bytes-sync", atMostNs: 2000 },
  { row: "one way, 64 KiB", ours: "isthmus-bytes-into", atMostNs: 65536 / 10 },
  { row: "IpcArc: lock and unlock", ours: "isthmus-operations", atMostNs: 1000 },
  // The floor: what two processes need at least.
  { row: "one way, 64 B", ours: "isthmus-bytes-sync", peer: "c-ring", ratio: 1 },
  // Against the Rust originals.
  ...["64 B", "1 KiB"].flatMap((size): Target[] => [
    { row: `one way, ${size}`, ours: "isthmus-bytes-sync", peer: "ipc-channel-bytes", ratio: 1 / 8 },
    { row: `one way, ${size}`, ours: "isthmus-bytes-sync", peer: "ipmpsc-owned", ratio: 1 / 1.3 },
  ]),
  ...["64 KiB", "1 MiB"].flatMap((size): Target[] => [
    { row: `one way, ${size}`, ours: "isthmus-bytes-sync", peer: "ipc-channel-bytes", ratio: 1 / 5 },
    { row: `one way, ${size}`, ours: "isthmus-bytes-sync", peer: "ipmpsc-owned", ratio: 1 },
    { row: `one way, ${size}`, ours: "isthmus-bytes-into", peer: "ipc-channel-bytes", ratio: 1 / 5 },
    { row: `one way, ${size}`, ours: "isthmus-bytes-into", peer: "ipmpsc-owned", ratio: 1 },
    { row: `one way, ${size}`, ours: "isthmus-bytes-borrowed", peer: "ipc-channel-bytes", ratio: 1 / 5 },
    { row: `one way, ${size}`, ours: "isthmus-bytes-borrowed", peer: "ipmpsc-borrowed", ratio: 1 },
  ]),
  { row: "one way, frame, 8 B", ours: "isthmus-typed-borrowed", peer: "ipmpsc-borrowed", ratio: 1 },
  { row: "one way, frame, 11.9 MiB", ours: "isthmus-typed-borrowed", peer: "ipmpsc-borrowed", ratio: 1 },
  { row: "one way, frame, 11.9 MiB", ours: "isthmus-typed-borrowed", peer: "ipc-channel-bytes", ratio: 1 / 5 },
  { row: "round trip, 64 B", ours: "isthmus-bytes-async", peer: "deno-socket", ratio: 0.7 },
  { row: "round trip, 64 B", ours: "isthmus-bytes-async", peer: "ipc-channel-bytes", ratio: 0.6 },
  { row: "round trip, 64 B", ours: "isthmus-bytes-sync", peer: "ipc-channel-bytes", ratio: 0.5 },
  { row: "a request with a channel for the answer", ours: "isthmus-typed-sync", peer: "ipc-channel-typed", ratio: 2 },
  {
    row: "one way, 64 B, 4 senders",
    ours: "isthmus-bytes-sync",
    peer: "isthmus-bytes-sync",
    peerRow: "one way, 64 B",
    ratio: 1 / 0.8,
  },
  {
    row: "send and receive a message with 64 senders",
    ours: "isthmus-operations",
    peer: "ipc-channel-operations",
    ratio: 1,
  },
  ...IN_PLACE.flatMap((size): Target[] => [
    { row: `one way, ${size}`, ours: "isthmus-bytes-loaned", peer: "iceoryx2", ratio: 1 },
    { row: `round trip, ${size}`, ours: "isthmus-bytes-loaned", peer: "iceoryx2", ratio: 1 },
    { row: `round trip, ${size}`, ours: "isthmus-bytes-loaned", peer: "iceoryx2-request", ratio: 1 },
  ]),
  ...["16 KiB", "64 KiB", "1 MiB"].map((size): Target => (
    { row: `one way, ${size}`, ours: "isthmus-bytes-borrowed", peer: "iceoryx2", ratio: 1 }
  )),
  ...["64 B", "1 KiB"].flatMap((size): Target[] => [
    { row: `one way, ${size}`, ours: "isthmus-bytes-sync", peer: "iceoryx2", ratio: 1 / 5 },
    { row: `round trip, ${size}`, ours: "isthmus-bytes-sync", peer: "iceoryx2", ratio: 1 },
  ]),
  // On a machine without a spare processor.
  ...["one processor for both", "beside busy loops"].flatMap((load) =>
    ["round trip, 64 B", "round trip, 16 KiB", "round trip, 64 KiB", "one way, 64 B"].flatMap((row) =>
      ["isthmus-bytes-async", "isthmus-bytes-sync"].flatMap((ours) =>
        (["time", "processor time"] as const).map((of): Target => (
          { row: `${row}, ${load}`, ours, peer: "deno-socket", ratio: 1, of }
        ))
      )
    )
  ),
  ...["one by one", "64 under way"].flatMap((how) =>
    ["calls-comlink", "calls-node-fork"].map((peer): Target => (
      { row: `add(1, 2), ${how}`, ours: "calls-isthmus", peer, ratio: 1 / 2 }
    ))
  ),
  ...[1, 4].flatMap((count) =>
    ["broadcast-redis", "broadcast-redis-pipelined"].flatMap((peer): Target[] => [
      { row: `publish, 64 B to ${subscribers(count)}`, ours: "broadcast-copied", peer, ratio: 1 / 20 },
      { row: `publish, 1 MiB to ${subscribers(count)}`, ours: "broadcast-borrowed", peer, ratio: 1 / 20 },
    ])
  ),
  { row: "create and close a channel", ours: "isthmus-operations", peer: "ipc-channel-operations", ratio: 3 },
  ...["create a channel, use it once and close it", "send and receive the sender of a new channel"].map((
    row,
  ): Target => (
    { row, ours: "isthmus-operations", peer: "ipc-channel-operations", ratio: 2 }
  )),
];

function subscribers(count: number): string {
  return count === 1 ? "1 subscriber" : `${count} subscribers`;
}

/** One line for each target that this run says something about. */
export function verdicts(rows: readonly Row[]): { reached: boolean; text: string }[] {
  const found: { reached: boolean; text: string }[] = [];
  const figure = (title: string, side: string, of: Target["of"]) => {
    const cell = rows.find(({ workload }) => titleOf(workload) === title)?.cells[side];
    return of === "processor time" ? cell?.cpu : cell?.ns.median;
  };
  for (const { row: title, ours, atMostNs, peer, ratio, peerRow = title, of = "time" } of TARGETS) {
    const mine = figure(title, ours, of);
    if (mine === undefined) continue;
    if (atMostNs !== undefined) {
      found.push({
        reached: mine <= atMostNs,
        text: `${title}: ${ours} takes ${mine.toFixed(0)} ns, at most ${atMostNs.toFixed(0)} ns wanted`,
      });
      continue;
    }
    const theirs = figure(peerRow, peer!, of);
    if (theirs === undefined) continue;
    found.push({
      reached: mine <= ratio! * theirs,
      text: `${title}: ${ours} takes ${(mine / theirs).toFixed(3)} × the ${of} of ${peer}${
        peerRow === title ? "" : ` (${peerRow})`
      }, at most ${ratio!.toFixed(3)} × wanted`,
    });
  }
  return found;
}
