// The rows of the results.
import type { Load } from "./harness/load.ts";
import type { Kind, Payload, Workload } from "./harness/workload.ts";
import { broadcast } from "./sides/broadcast.ts";
import { calls } from "./sides/calls.ts";
import { OPERATION_NAMES } from "./sides/isthmus_operations.ts";

const SIZES = [64, 1 << 10, 16 << 10, 64 << 10, 1 << 20];
const MANY_SENDERS = [2, 4];
/** Milliseconds that round trips warm up at least: few go by in the time, and compilers count calls. */
const WARM_UP = 500;
/** The same under load: a round trip of 16 KiB on one processor took 115 µs at first, 54 after 0.5 s and 32 after 2 s. */
const LOADED_WARM_UP = 2000;
/** Milliseconds that are measured under load at least: processes there run for some milliseconds at a time. */
const LOADED = 600;
/**
 * The same for requests with a channel each, and all else that sends senders, which run more code: requests took 48 µs at
 * first, 30 after 30,000 of them; a message with one sender 25 µs after 0.2 s, 11 after 1 s.
 */
const REQUESTING_WARM_UP = 1500;
/** Milliseconds that calls and starts are measured at least: a start takes a hundred of them. */
const CALLING = 600;
/** Milliseconds that a broadcast is measured at least: it does not warm up. */
const PUBLISHING = 600;
const SMALL_FRAME = 3 * 2, LARGE_FRAME = 3840 * 2160;

const LOADS: readonly Load[] = ["one processor for both", "beside busy loops"];
/** What a program would use otherwise. */
const LOADED_SIDES = [
  "isthmus-bytes-sync",
  "isthmus-bytes-async",
  "deno-socket",
  "deno-worker",
  "ipc-channel-bytes",
  "ipmpsc-owned",
];
/** Sides whose messages can carry a channel. */
const REQUEST_SIDES = ["isthmus-typed-sync", "isthmus-typed-async", "ipc-channel-typed"];
const CALLS = ["add(1, 2), one by one", "add(1, 2), 64 under way", "start to first answer"];

/** The whole grid. */
export function everything(warmUp: number, measure: number): Workload[] {
  const row = (kind: Kind, payload: Payload, size: number, senders = 1): Workload => {
    const least = kind === "round-trip" ? WARM_UP : 0;
    return { group: "messages", kind, payload, size, senders, warmUp: Math.max(warmUp, least), measure };
  };
  const loaded = (load: Load, kind: Kind, size: number): Workload => ({
    ...row(kind, "bytes", size),
    group: "loaded",
    load,
    sides: LOADED_SIDES,
    warmUp: Math.max(warmUp, LOADED_WARM_UP),
    measure: Math.max(measure, LOADED),
  });
  const named = (name: string): Workload => ({
    ...row("operation", "bytes", 0),
    group: "operations",
    name,
    ...(/sender/.test(name) ? { warmUp: Math.max(warmUp, REQUESTING_WARM_UP) } : undefined),
  });
  return [
    ...SIZES.map((size) => row("one-way", "bytes", size)),
    ...MANY_SENDERS.map((senders) => row("one-way", "bytes", 64, senders)),
    row("one-way", "object", 0),
    row("one-way", "frame", SMALL_FRAME),
    row("one-way", "frame", LARGE_FRAME),
    ...SIZES.map((size) => row("round-trip", "bytes", size)),
    row("round-trip", "object", 0),
    { ...row("round-trip", "request", 0), sides: REQUEST_SIDES, warmUp: Math.max(warmUp, REQUESTING_WARM_UP) },
    ...LOADS.flatMap((load) => [
      ...[64, 16 << 10, 64 << 10].map((size) => loaded(load, "round-trip", size)),
      loaded(load, "one-way", 64),
    ]),
    { ...loaded("one processor for both", "round-trip", 0), payload: "request", sides: REQUEST_SIDES },
    ...CALLS.map((name): Workload => ({
      ...named(name),
      group: "calls",
      sides: calls.map(({ id }) => id),
      measure: Math.max(measure, CALLING),
    })),
    ...[64, 1 << 20].flatMap((size) =>
      [1, 4].map((subscribers): Workload => ({
        ...row("broadcast", "bytes", size),
        group: "broadcast",
        measure: Math.max(measure, PUBLISHING),
        subscribers,
        sides: broadcast.map(({ id }) => id),
      }))
    ),
    ...OPERATION_NAMES.map(named),
  ];
}

/** The few rows that the targets of every day speak of. */
export function essentials(warmUp: number, measure: number): Workload[] {
  return everything(warmUp, measure).filter(({ group, kind, payload, size, senders, name }) =>
    group === "operations"
      ? name === "IpcArc: lock and unlock"
      : group !== "messages"
      ? false
      : payload === "object"
      ? kind === "one-way"
      : payload === "bytes" && senders === 1 &&
        (size === 64 || (size === 64 << 10 && kind === "one-way"))
  );
}

/** Whether a row is drawn: few enough for a chart to be read. */
export function isDrawn({ group, kind, payload, size, senders }: Workload): boolean {
  if (senders > 1 || group === "operations" || group === "calls") return false;
  if (group === "loaded") return kind === "round-trip" && size === 64;
  if (group === "broadcast") return size === 64;
  return payload !== "bytes" ? kind === "one-way" : size === 64 || (size === 64 << 10 && kind === "one-way");
}
