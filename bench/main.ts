/**
 * Measures this package beside others, in one run, round by round.
 *
 * ```sh
 * deno task bench           # the whole grid, beside what Deno and Node.js have
 * deno task bench --quick   # what the targets speak of
 * deno task bench:peers     # beside C, and the Rust libraries too
 * ```
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { chart } from "./harness/chart.ts";
import { endProgress, showProgress } from "./harness/progress.ts";
import { runAll } from "./harness/run.ts";
import { markdown, rowText } from "./harness/table.ts";
import { type Side, titleOf } from "./harness/workload.ts";
import { sidesOf } from "./sides/mod.ts";
import { verdicts } from "./targets.ts";
import { essentials, everything, isDrawn } from "./workloads.ts";

const USAGE = `Usage: deno task bench [FLAGS]

  --quick          Only the rows that the targets speak of
  --peers          With the programs in C and Rust too; fails if one cannot be built
  --only=PATTERN   Only rows whose title matches
  --sides=PATTERN  Only sides whose name matches
  --rounds=N       Rounds (3)
  --ms=N           Milliseconds measured in each run (400), after half as many to warm up
  --json=FILE      Write the results
  --svg=FILE       Draw the rows that say most
  --markdown       Print tables in Markdown too
  --list           Show rows and sides, measure nothing`;

const flags = parseArgs(Deno.args, {
  boolean: ["quick", "peers", "list", "help", "markdown"],
  string: ["only", "sides", "rounds", "ms", "json", "svg"],
  unknown: (argument: string) => {
    console.error(`Unknown argument "${argument}"\n\n${USAGE}`);
    Deno.exit(2);
  },
});
if (flags["help"]) {
  console.log(USAGE);
  Deno.exit();
}

const rounds = numberOf("rounds", 3), measure = numberOf("ms", 400);
const only = new RegExp(flags["only"] ?? ""), onlySides = new RegExp(flags["sides"] ?? "");
const workloads = (flags["quick"] ? essentials : everything)(measure / 2, measure)
  .filter((workload) => only.test(titleOf(workload)));
const wanted = sidesOf(Boolean(flags["peers"]), Boolean(flags["quick"])).filter(({ id }) => onlySides.test(id));

if (flags["list"]) {
  for (const workload of workloads) console.log(titleOf(workload));
  for (const { id, title } of wanted) console.log(`${id.padEnd(24)} ${title}`);
  Deno.exit();
}

const sides: Side[] = [];
for (const side of wanted) {
  const missing = await side.prepare?.();
  if (missing === undefined) sides.push(side);
  else {
    console.error(`Left out: ${side.title}: ${missing}`);
    if (flags["peers"]) Deno.exit(1);
  }
}

const rows = await runAll(workloads, sides, rounds, showProgress);
endProgress();

for (const row of rows) console.log(`${rowText(row, sides)}\n`);
if (flags["markdown"]) console.log(`${markdown(rows, sides)}\n`);
for (const { reached, text } of verdicts(rows)) console.log(`${reached ? "reached" : "MISSED "}  ${text}`);
if (flags["json"]) {
  const versions = { ...Deno.version, cores: navigator.hardwareConcurrency, os: Deno.osRelease() };
  Deno.writeTextFileSync(flags["json"], JSON.stringify({ date: new Date(), versions, rows }, null, 1) + "\n");
}
if (flags["svg"]) {
  const drawn = rows.filter(({ workload }) => isDrawn(workload));
  Deno.writeTextFileSync(flags["svg"], chart("Messages between two processes", drawn, sides));
}

function numberOf(name: string, otherwise: number): number {
  const text: string | undefined = flags[name];
  if (text === undefined) return otherwise;
  const number = Number(text);
  if (number >= 1) return number;
  console.error(`Cannot use --${name}=${text}: it must be a number from 1`);
  Deno.exit(2);
}
