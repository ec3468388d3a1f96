// Runs every side of every workload, round by round, so that what disturbs the machine disturbs all alike.
import type { Measurement, Side, Workload } from "./workload.ts";
import { summarise, type Summary } from "./statistics.ts";

/** What one side did in one workload. */
export interface Cell {
  /** Nanoseconds an operation. */
  readonly ns: Summary;
  /** Processor time an operation, in nanoseconds, over all its processes; `undefined` if the side cannot tell. */
  readonly cpu?: number;
  /** Nanoseconds an operation, of each round. */
  readonly rounds: readonly number[];
}

/** One workload, and what each side did, by its id. */
export interface Row {
  readonly workload: Workload;
  readonly cells: Readonly<Record<string, Cell>>;
}

/** Milliseconds that a program gets beyond the ones it measures. */
const GRACE = 60_000;

/**
 * Runs everything.
 *
 * @param onStep Called before each run.
 */
export async function runAll(
  workloads: readonly Workload[],
  sides: readonly Side[],
  rounds: number,
  onStep: (done: number, total: number, what: string) => void,
): Promise<Row[]> {
  const total = workloads.reduce((sum, workload) => sum + sides.filter((side) => side.takes(workload)).length, 0) *
    rounds;
  let done = 0;
  const rows: Row[] = [];
  for (const workload of workloads) {
    const taking = sides.filter((side) => side.takes(workload));
    if (taking.length === 0) continue;
    const results = new Map<string, Measurement[]>(taking.map(({ id }) => [id, []]));
    for (let round = 0; round < rounds; round++) {
      for (const side of taking) {
        onStep(done++, total, side.title);
        results.get(side.id)!.push(await runOnce(side, workload));
      }
    }
    const cells: Record<string, Cell> = {};
    for (const [id, measurements] of results) {
      const each = measurements.map(({ ns, ops }) => ns / ops);
      const cpu = measurements.every((one) => one.cpu !== undefined)
        ? summarise(measurements.map((one) => one.cpu! / one.ops)).median
        : undefined;
      cells[id] = { ns: summarise(each), rounds: each, ...(cpu === undefined ? {} : { cpu }) };
    }
    rows.push({ workload, cells });
  }
  return rows;
}

async function runOnce(side: Side, workload: Workload): Promise<Measurement> {
  const [program, ...args] = side.command(workload);
  const timeout = workload.warmUp + workload.measure + GRACE;
  const { success, stdout, stderr } = await new Deno.Command(program!, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(timeout),
  }).output();
  const text = new TextDecoder().decode(stdout).trim();
  if (!success || text === "") {
    throw new Error(
      `Cannot measure "${side.title}": ${new TextDecoder().decode(stderr).trim() || "it ended without a word"}`,
    );
  }
  return JSON.parse(text.split("\n").at(-1)!);
}
