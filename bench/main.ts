/**
 * Measures this package beside others, in one run, round by round.
 *
 * ```sh
 * deno task bench            # the whole grid, beside what Deno and Node.js have
 * deno task bench --quick    # the essentials
 * deno task bench:peers      # beside C, the Rust libraries, Comlink and Redis too
 * deno task bench:loaded     # on one processor for both, and beside busy loops
 * deno task bench:calls      # calls between processes, and starts
 * deno task bench:broadcast  # one publisher, several subscribers
 * deno task bench:publish    # everything, into bench/RESULTS.md, bench/results.svg and the README
 * ```
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { chart } from "./harness/chart.ts";
import { missingFor } from "./harness/load.ts";
import { reportNoMatch } from "./harness/no_match.ts";
import { endProgress, showProgress } from "./harness/progress.ts";
import { runAll } from "./harness/run.ts";
import { markdown, rowText } from "./harness/table.ts";
import { type Side, takesPart, titleOf } from "./harness/workload.ts";
import { checkPages, publish } from "./publish/publish.ts";
import { sidesOf } from "./sides/mod.ts";
import { verdicts } from "./targets.ts";
import { essentials, everything, isDrawn } from "./workloads.ts";

const USAGE = `Usage: deno task bench [FLAGS]

  --quick          Only the essential rows
  --peers          With C, Rust, ZeroMQ, Comlink and Redis; fails if one of them but Redis cannot be had
  --group=NAME     Only one group of rows: messages, loaded, calls, broadcast or operations
  --only=PATTERN   Only rows whose title matches
  --sides=PATTERN  Only sides whose name matches
  --rounds=N       Rounds (3)
  --ms=N           Milliseconds measured in each run (300), after half as many to warm up
  --json=FILE      Write the results
  --svg=FILE       Draw the rows that say most
  --markdown       Print tables in Markdown too
  --publish        Write bench/RESULTS.md, bench/results.svg and the README's table; with --peers, and all rows
  --list           Show rows and sides, measure nothing`;

const flags = parseArgs(Deno.args, {
  boolean: ["quick", "peers", "list", "help", "markdown", "publish"],
  string: ["group", "only", "sides", "rounds", "ms", "json", "svg"],
  unknown: (argument: string) => {
    console.error(`Unknown argument "${argument}"\n\n${USAGE}`);
    Deno.exit(2);
  },
});
if (flags["help"]) {
  console.log(USAGE);
  Deno.exit();
}

const rounds = numberOf("rounds", 3), measure = numberOf("ms", 300);
const only = new RegExp(flags["only"] ?? ""), onlySides = new RegExp(flags["sides"] ?? "");
const workloads = (flags["quick"] ? essentials : everything)(measure / 2, measure)
  .filter((workload) => only.test(titleOf(workload)) && workload.group === (flags["group"] ?? workload.group));
const wanted = sidesOf(Boolean(flags["peers"]), Boolean(flags["quick"]))
  .filter((side) => onlySides.test(side.id) && workloads.some((workload) => takesPart(side, workload)));
if (wanted.length === 0) {
  const { group, only, sides } = flags;
  const narrow = [...(flags["quick"] ? ["with --quick"] : []), ...(flags["peers"] ? [] : ["without --peers"])];
  reportNoMatch({ group, only, sides }, narrow.length === 0 ? "" : ` (${narrow.join(", ")})`);
  Deno.exit(1);
}
if (flags["publish"]) {
  const part = ["quick", "group", "only", "sides"].filter((name) => flags[name as "only"]);
  if (!flags["peers"] || part.length > 0) {
    console.error(
      "Cannot publish a part of the results: --publish goes with --peers, and without " +
        "--quick, --group, --only and --sides",
    );
    Deno.exit(2);
  }
  checkPages();
}

if (flags["list"]) {
  for (const workload of workloads) console.log(titleOf(workload));
  for (const { id, title } of wanted) console.log(`${id.padEnd(24)} ${title}`);
  Deno.exit();
}

const sides: Side[] = [], leftOut: string[] = [];
for (const side of wanted) {
  const missing = await side.prepare?.();
  if (missing === undefined) sides.push(side);
  else {
    leftOut.push(`${side.title}: ${missing}`);
    console.error(`Left out: ${leftOut.at(-1)}`);
    if (flags["peers"] && !side.optional) Deno.exit(1);
  }
}
const loads = new Set(workloads.flatMap(({ load }) => load ?? []));
for (const load of loads) {
  const missing = await missingFor(load);
  if (missing === undefined) continue;
  leftOut.push(`${load}: ${missing}`);
  console.error(`Left out: ${leftOut.at(-1)}`);
  loads.delete(load);
}
const possible = workloads.filter(({ load }) => load === undefined || loads.has(load));

let failed = false;
const rows = await runAll(possible, sides, rounds, showProgress, (message) => {
  failed = true;
  leftOut.push(message);
  console.error(`\nCannot measure ${message}`);
});
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

if (flags["publish"]) await publish({ rows, sides, rounds, milliseconds: measure, leftOut });
if (failed) Deno.exit(1);

function numberOf(name: string, otherwise: number): number {
  const text: string | undefined = flags[name];
  if (text === undefined) return otherwise;
  const number = Number(text);
  if (number >= 1) return number;
  console.error(`Cannot use --${name}=${text}: it must be a number from 1`);
  Deno.exit(2);
}
