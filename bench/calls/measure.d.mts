import type { Workload } from "../harness/workload.ts";

/** A peer that has answered once. */
export interface Started {
  readonly sum: number;
  end(): unknown;
}

/** Measures a row, and prints the result. */
export declare function measure(
  workload: Workload,
  pids: readonly number[],
  add: ((a: number, b: number) => Promise<number>) | undefined,
  start: (() => Promise<Started>) | undefined,
): Promise<void>;
