/**
 * Measures calls between processes, and the start of a process that answers them, beside Comlink over a Deno Worker and
 * Node.js's `fork` with correlation ids, in one run, round by round.
 *
 * ```sh
 * deno task bench:calls
 * ```
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { endProgress, showProgress } from "./harness/progress.ts";
import { runAll } from "./harness/run.ts";
import { rowText } from "./harness/table.ts";
import type { Side, Workload } from "./harness/workload.ts";

const USAGE = `Usage: deno task bench:calls [FLAGS]

  --rounds=N       Rounds (5)
  --ms=N           Milliseconds measured in each run (500), after as many to warm up
  --json=FILE      Write the results`;

/** Comlink comes from npm, into the folder of the other programs that are measured beside this package. */
const VERSION = "4.4.2", FOLDER = new URL("./peers/target/comlink", import.meta.url).pathname;

const flags = parseArgs(Deno.args, {
  boolean: ["help"],
  string: ["rounds", "ms", "json"],
  unknown: (argument: string) => fail(`Unknown argument "${argument}"`),
});
if (flags["help"]) {
  console.log(USAGE);
  Deno.exit();
}
const rounds = numberOf("rounds", 5), measure = numberOf("ms", 500);

const workloads = ["add(1, 2), one by one", "add(1, 2), 64 under way", "start to first answer"].map((
  name,
): Workload => ({ kind: "operation", payload: "object", size: 0, senders: 1, name, warmUp: measure, measure }));

/** How many times the time of the others ours may take at most, of a call. */
const RATIO = 0.5;

const file = (name: string) => new URL(`./calls/${name}`, import.meta.url).pathname;
const deno = [Deno.execPath(), "run", "--allow-all", "--quiet"];

const sides: Side[] = [
  {
    id: "isthmus",
    title: "Isthmus: expose() and remote(), spawn()",
    ours: true,
    takes: () => true,
    command: (workload) => [...deno, file("isthmus.ts"), JSON.stringify(workload)],
  },
  {
    id: "comlink",
    title: "Comlink over a Deno Worker (threads); new Worker",
    takes: () => true,
    prepare: installComlink,
    command: (workload) => [...deno, file("comlink.mjs"), FOLDER, JSON.stringify(workload)],
  },
  {
    id: "node-fork",
    title: "Node.js fork, correlation ids",
    takes: () => true,
    prepare: () => tried("node", ["--version"]),
    command: (workload) => ["node", file("node_fork.mjs"), JSON.stringify(workload)],
  },
];

const taking: Side[] = [];
for (const side of sides) {
  const missing = await side.prepare?.();
  if (missing === undefined) taking.push(side);
  else console.error(`Left out: ${side.title}: ${missing}`);
}

const rows = await runAll(workloads, taking, rounds, showProgress);
endProgress();
for (const row of rows) console.log(`${rowText(row, taking)}\n`);
for (const { workload, cells } of rows) {
  if (!workload.name!.startsWith("add")) continue;
  for (const { id } of taking.filter(({ ours }) => !ours)) {
    const ratio = cells["isthmus"]!.ns.median / cells[id]!.ns.median;
    const verdict = ratio <= RATIO ? "reached" : "MISSED ";
    console.log(`${verdict}  ${workload.name}: ${ratio.toFixed(3)} × the time of ${id}, at most ${RATIO} × wanted`);
  }
}
if (flags["json"]) Deno.writeTextFileSync(flags["json"], JSON.stringify({ date: new Date(), rows }, null, 1) + "\n");

function installComlink(): Promise<string | undefined> {
  const how = ["--ignore-scripts", "--no-save", "--no-package-lock", "--prefix", FOLDER];
  return tried("npm", ["install", ...how, `comlink@${VERSION}`]);
}

/** Why a program cannot be run, if so. */
async function tried(program: string, args: string[]): Promise<string | undefined> {
  try {
    const { success, stderr } = await new Deno.Command(program, { args, stdout: "null", stderr: "piped" }).output();
    return success ? undefined : `${program}: ${new TextDecoder().decode(stderr)}`;
  } catch {
    return `${program} is not there`;
  }
}

function numberOf(name: string, otherwise: number): number {
  const text: string | undefined = flags[name];
  if (text === undefined) return otherwise;
  const number = Number(text);
  return number >= 1 ? number : fail(`Cannot use --${name}=${text}: it must be a number from 1`);
}

function fail(message: string): never {
  console.error(`${message}\n\n${USAGE}`);
  Deno.exit(2);
}
