import type { Measurement, Workload } from "./workload.ts";

/** Processor time of some processes so far, in nanoseconds. */
export declare function processorTime(pids: readonly number[]): number;

/** Measures something that blocks. `pids`: the other processes that work on it. */
export declare function measureSync(
  workload: Workload,
  pids: readonly number[],
  operation: () => unknown,
): Required<Measurement>;

/** Measures something that is awaited. `pids`: the other processes that work on it. */
export declare function measureAsync(
  workload: Workload,
  pids: readonly number[],
  operation: () => Promise<unknown>,
): Promise<Required<Measurement>>;
