// What is measured, in terms that hold for every program that takes part.
import type { Load } from "./load.ts";

/** Rows that are measured, or left out, together. */
export type Group = "messages" | "operations" | "loaded" | "calls" | "broadcast";

/**
 * - `one-way`: one process receives what others send without a pause; an operation is one message.
 * - `round-trip`: a message goes to another process and comes back; an operation is both ways.
 * - `operation`: something that one process does alone, named by `name`; an operation is one of it.
 * - `broadcast`: one process publishes, `subscribers` receive; an operation is one message that each of them has.
 */
export type Kind = "one-way" | "round-trip" | "operation" | "broadcast";

/**
 * What messages carry.
 *
 * - `bytes`: `size` bytes. The sender changes the first before each message, the receiver reads the first and the last.
 * - `object`: `{ id, name, ok, pos: [x, y] }`, with another `id` each time, of which the receiver reads `id` and `pos`.
 * - `request`: the sender of a new channel, by which the other side sends a number back; both close the channel then.
 * - `frame`: ipmpsc's `YuvFrame`: five numbers and three byte strings, of 3 × 2 or 3840 × 2160 pixels.
 */
export type Payload = "bytes" | "object" | "frame" | "request";

/** One row of the results. */
export interface Workload {
  readonly group: Group;
  readonly kind: Kind;
  readonly payload: Payload;
  /** Bytes of the payload; pixels of a frame. */
  readonly size: number;
  /** Processes that send. */
  readonly senders: number;
  /** Processes that receive, of a broadcast. */
  readonly subscribers?: number;
  /** What else the machine does; nothing by default. */
  readonly load?: Load;
  /** Ids of the sides that take part, in place of what the sides say themselves. */
  readonly sides?: readonly string[];
  /** Of an operation: which. */
  readonly name?: string;
  /** Milliseconds before measuring begins: compilers warm up, rings are touched. */
  readonly warmUp: number;
  /** Milliseconds that are measured. */
  readonly measure: number;
}

/** What a program prints, on one line of JSON. */
export interface Measurement {
  /** Operations. */
  readonly ops: number;
  /** Nanoseconds that they took. */
  readonly ns: number;
  /** Processor time of all processes meanwhile, in nanoseconds. */
  readonly cpu?: number;
  /** Of a broadcast: the share of the messages that the slowest subscriber missed. */
  readonly missed?: number;
}

/** A program, and a way of using it: one column of the results. */
export interface Side {
  /** Short and unique, for `--only` and the JSON. */
  readonly id: string;
  /** For people. */
  readonly title: string;
  /** Whether it is this package. */
  readonly ours?: boolean;
  /** Whether a run is complete without it, where it cannot be had. */
  readonly optional?: boolean;
  /** Whether it takes part in a workload that does not name its sides. */
  takes(workload: Workload): boolean;
  /** Builds or looks for what it needs; returns why it cannot take part, if so. */
  prepare?(): Promise<string | undefined>;
  /** The program that measures, and its arguments. */
  command?(workload: Workload): string[];
  /** Measures, if it takes more than one program. */
  run?(workload: Workload): Promise<Measurement>;
}

/** Whether a side takes part in a workload. */
export function takesPart(side: Side, workload: Workload): boolean {
  return workload.sides === undefined ? side.takes(workload) : workload.sides.includes(side.id);
}

/** What a row is called. */
export function titleOf({ kind, payload, size, senders, subscribers, load, name }: Workload): string {
  if (kind === "operation") return name!;
  if (kind === "broadcast") {
    return `publish, ${sizeText(size)} to ${subscribers} subscriber${subscribers === 1 ? "" : "s"}`;
  }
  const suffix = load === undefined ? "" : `, ${load}`;
  if (payload === "request") return `a request with a channel for the answer${suffix}`;
  const what = payload === "bytes"
    ? sizeText(size)
    : payload === "frame"
    ? `frame, ${sizeText(frameBytes(size))}`
    : "object";
  const way = kind === "one-way" ? "one way" : "round trip";
  return `${way}, ${what}${senders > 1 ? `, ${senders} senders` : ""}${suffix}`;
}

/** Bytes of a frame of so many pixels: one byte of brightness each, and two of colour for every four. */
export function frameBytes(pixels: number): number {
  return pixels + 2 * Math.floor(pixels / 4);
}

function sizeText(bytes: number): string {
  return bytes >= 1 << 20
    ? `${+(bytes / (1 << 20)).toFixed(1)} MiB`
    : bytes >= 1024
    ? `${bytes / 1024} KiB`
    : `${bytes} B`;
}
