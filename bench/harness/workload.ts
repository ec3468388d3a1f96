// What is measured, in terms that hold for every program that takes part.

/**
 * - `one-way`: one process receives what others send without a pause; an operation is one message.
 * - `round-trip`: a message goes to another process and comes back; an operation is both ways.
 * - `operation`: something that one process does alone, named by `name`; an operation is one of it.
 */
export type Kind = "one-way" | "round-trip" | "operation";

/**
 * What messages carry.
 *
 * - `bytes`: `size` bytes. The sender changes the first before each message, the receiver reads the first and the last.
 * - `object`: `{ id, name, ok, pos: [x, y] }`, with another `id` each time, of which the receiver reads `id` and `pos`.
 * - `frame`: ipmpsc's `YuvFrame`: five numbers and three byte strings, of 3 × 2 or 3840 × 2160 pixels.
 */
export type Payload = "bytes" | "object" | "frame";

/** One row of the results. */
export interface Workload {
  readonly kind: Kind;
  readonly payload: Payload;
  /** Bytes of the payload; pixels of a frame. */
  readonly size: number;
  /** Processes that send. */
  readonly senders: number;
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
}

/** A program, and a way of using it: one column of the results. */
export interface Side {
  /** Short and unique, for `--only` and the JSON. */
  readonly id: string;
  /** For people. */
  readonly title: string;
  /** Whether it is this package. */
  readonly ours?: boolean;
  /** Whether it takes part in a workload. */
  takes(workload: Workload): boolean;
  /** Builds or looks for what it needs; returns why it cannot take part, if so. */
  prepare?(): Promise<string | undefined>;
  /** The program and its arguments. */
  command(workload: Workload): string[];
}

/** What a row is called. */
export function titleOf({ kind, payload, size, senders, name }: Workload): string {
  if (kind === "operation") return name!;
  const what = payload === "bytes"
    ? sizeText(size)
    : payload === "frame"
    ? `frame, ${sizeText(frameBytes(size))}`
    : "object";
  return `${kind === "one-way" ? "one way" : "round trip"}, ${what}${senders > 1 ? `, ${senders} senders` : ""}`;
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
