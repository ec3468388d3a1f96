// The table of the README: few rows, each beside the best of what there is otherwise.
import type { Row } from "../harness/run.ts";
import { amount } from "../harness/table.ts";
import { titleOf } from "../harness/workload.ts";

/** One line of the table. */
export interface Line {
  /** Title of the row of the results. */
  readonly row: string;
  /** What the README calls it. */
  readonly title: string;
  readonly ours: string;
  readonly others: readonly string[];
}

const NAMES: Readonly<Record<string, string>> = {
  "iceoryx2": "iceoryx2",
  "ipmpsc-owned": "ipmpsc",
  "ipmpsc-borrowed": "ipmpsc",
  "ipc-channel-bytes": "ipc-channel",
  "deno-socket": "Unix socket",
  "deno-worker": "`postMessage`",
  "node-fork": "fork",
  "calls-comlink": "Comlink",
  "calls-node-fork": "fork",
  "broadcast-iceoryx2-retried": "iceoryx2",
  "broadcast-redis-pipelined": "Redis",
};

const RUST = ["iceoryx2", "ipmpsc-owned", "ipc-channel-bytes"];
const RUNTIMES = ["deno-socket", "deno-worker", "node-fork"];
const LOADED = ["deno-socket", "deno-worker"];

const bytes = (row: string, title: string, style: string, others: readonly string[]): Line => ({
  row,
  title,
  ours: `isthmus-bytes-${style}`,
  others,
});

/** All of them. */
export const LINES: readonly Line[] = [
  bytes("one way, 64 B", "64 B one way, blocking", "sync", RUST),
  bytes("one way, 64 B", "64 B one way, `await`", "async", RUNTIMES),
  bytes("round trip, 64 B", "64 B there and back, blocking", "sync", RUST),
  bytes("round trip, 64 B", "64 B there and back, `await`", "async", RUNTIMES),
  bytes("round trip, 64 B, one processor for both", "the same, one core for both", "async", LOADED),
  bytes("round trip, 64 B, beside busy loops", "the same, all cores busy", "async", LOADED),
  bytes("one way, 1 MiB", "1 MiB one way, in place", "borrowed", ["iceoryx2", "ipmpsc-borrowed", "ipc-channel-bytes"]),
  {
    row: "add(1, 2), one by one",
    title: "`await add(1, 2)`",
    ours: "calls-isthmus",
    others: ["calls-comlink", "calls-node-fork"],
  },
  {
    row: "publish, 64 B to 4 subscribers",
    title: "64 B to 4 subscribers",
    ours: "broadcast-copied",
    others: ["broadcast-iceoryx2-retried", "broadcast-redis-pipelined"],
  },
];

/** A number of rounds. */
export function roundsText(rounds: number): string {
  return rounds === 1 ? "one round" : `${rounds} rounds`;
}

/** The table in Markdown. */
export function readmeTable(rows: readonly Row[], rounds: number): string {
  const lines = LINES.flatMap(({ row, title, ours, others }) => {
    const found = rows.find(({ workload }) => titleOf(workload) === row);
    const mine = found?.cells[ours];
    if (found === undefined || mine === undefined) return [];
    const figure = (ns: number) => amount(found.workload, ns).split(", ").at(-1)!;
    const theirs = others
      .flatMap((id) => found.cells[id] === undefined ? [] : [{ id, ns: found.cells[id].ns.median }])
      .map(({ id, ns }) => `${NAMES[id]} ${figure(ns)}`);
    return [`| ${title} | ${figure(mine.ns.median)} | ${theirs.join(", ")} |`];
  });
  const date = new Date().toISOString().slice(0, 10);
  return [
    `Medians of ${roundsText(rounds)} of one run on ${date}, ${navigator.hardwareConcurrency} processors.`,
    "",
    "| between processes | Isthmus | others in the same run |",
    "|---|---|---|",
    ...lines,
  ].join("\n");
}
