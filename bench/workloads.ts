// The rows of the results.
import type { Kind, Payload, Workload } from "./harness/workload.ts";
import { OPERATION_NAMES } from "./sides/isthmus_operations.ts";

const SIZES = [1, 64, 1 << 10, 16 << 10, 64 << 10, 1 << 20];
const MANY_SENDERS = [2, 4];
/** Milliseconds that round trips warm up at least: few go by in the time, and compilers count calls. */
const WARM_UP = 500;
const SMALL_FRAME = 3 * 2, LARGE_FRAME = 3840 * 2160;

/** The whole grid. */
export function everything(warmUp: number, measure: number): Workload[] {
  const row = (kind: Kind, payload: Payload, size: number, senders = 1): Workload => {
    return {
      kind,
      payload,
      size,
      senders,
      warmUp: kind === "round-trip" ? Math.max(warmUp, WARM_UP) : warmUp,
      measure,
    };
  };
  return [
    ...SIZES.map((size) => row("one-way", "bytes", size)),
    ...MANY_SENDERS.map((senders) => row("one-way", "bytes", 64, senders)),
    row("one-way", "object", 0),
    row("one-way", "frame", SMALL_FRAME),
    row("one-way", "frame", LARGE_FRAME),
    ...SIZES.map((size) => row("round-trip", "bytes", size)),
    row("round-trip", "object", 0),
    ...OPERATION_NAMES.map((name): Workload => ({ ...row("operation", "bytes", 0), name })),
  ];
}

/** The few rows that the targets speak of. */
export function essentials(warmUp: number, measure: number): Workload[] {
  return everything(warmUp, measure).filter(({ kind, payload, size, senders, name }) =>
    kind === "operation"
      ? name === "IpcArc: lock and unlock"
      : payload === "object"
      ? kind === "one-way"
      : payload === "bytes" && senders === 1 &&
        (size === 64 || (size === 64 << 10 && kind === "one-way"))
  );
}

/** Whether a row is drawn: few enough for a chart to be read. */
export function isDrawn({ kind, payload, size, senders }: Workload): boolean {
  if (kind === "operation" || senders > 1) return false;
  return payload !== "bytes" ? kind === "one-way" : size === 64 || (size === 64 << 10 && kind === "one-way");
}
