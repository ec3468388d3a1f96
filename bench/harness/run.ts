// Runs every side of every workload, round by round, so that what disturbs the machine disturbs all alike.
import { begin, under } from "./load.ts";
import { summarise, type Summary } from "./statistics.ts";
import { type Measurement, type Side, takesPart, titleOf, type Workload } from "./workload.ts";

/** What one side did in one workload. */
export interface Cell {
  /** Nanoseconds an operation. */
  readonly ns: Summary;
  /** Processor time an operation, in nanoseconds, over all its processes; `undefined` if the side cannot tell. */
  readonly cpu?: number;
  /** Of a broadcast: the share of the messages that the slowest subscriber missed. */
  readonly missed?: number;
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
 * Runs everything. A round runs all rows, so that the rounds of one row lie minutes apart; within it, the sides of a row
 * run one after the other, and backwards in every second round.
 *
 * A side that fails is left out of its row: it does not cost the rest of a long run.
 *
 * @param onStep Called before each run.
 * @param onFailure Called with what has failed.
 */
export async function runAll(
  workloads: readonly Workload[],
  sides: readonly Side[],
  rounds: number,
  onStep: (done: number, total: number, what: string) => void,
  onFailure: (message: string) => void,
): Promise<Row[]> {
  const plan = workloads
    .map((workload) => ({ workload, taking: sides.filter((side) => takesPart(side, workload)) }))
    .filter(({ taking }) => taking.length > 0)
    .map(({ workload, taking }) => ({
      workload,
      taking,
      results: new Map<string, Measurement[]>(taking.map(({ id }) => [id, []])),
    }));
  const total = plan.reduce((sum, { taking }) => sum + taking.length, 0) * rounds;
  let done = 0;
  for (let round = 0; round < rounds; round++) {
    for (const { workload, taking, results } of plan) {
      await using load = begin(workload.load);
      void load;
      for (const side of round % 2 === 0 ? taking : taking.toReversed()) {
        onStep(done++, total, `${side.title}: ${titleOf(workload)}`);
        const measurements = results.get(side.id);
        if (measurements === undefined) continue;
        try {
          measurements.push(await runOnce(side, workload));
        } catch (error) {
          results.delete(side.id);
          onFailure(`${side.title}, ${titleOf(workload)}: ${error instanceof Error ? error.message : error}`);
        }
      }
    }
  }
  return plan.map(({ workload, results }) => {
    const cells = [...results].map(([id, measurements]): [string, Cell] => [id, cellOf(measurements)]);
    return { workload, cells: Object.fromEntries(cells) };
  });
}

function cellOf(measurements: readonly Measurement[]): Cell {
  const rounds = measurements.map(({ ns, ops }) => ns / ops);
  const cpu = medianOf(measurements.map(({ cpu, ops }) => cpu === undefined ? undefined : cpu / ops));
  const missed = medianOf(measurements.map(({ missed }) => missed));
  return {
    ns: summarise(rounds),
    rounds,
    ...(cpu === undefined ? {} : { cpu }),
    ...(missed === undefined ? {} : { missed }),
  };
}

function medianOf(numbers: readonly (number | undefined)[]): number | undefined {
  const known = numbers.filter((number) => number !== undefined);
  return known.length < numbers.length ? undefined : summarise(known).median;
}

async function runOnce(side: Side, workload: Workload): Promise<Measurement> {
  if (side.run !== undefined) return await side.run(workload);
  const [program, ...args] = under(workload.load, side.command!(workload));
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
    throw new Error(new TextDecoder().decode(stderr).trim() || "it ended without a word");
  }
  return JSON.parse(text.split("\n").at(-1)!);
}
