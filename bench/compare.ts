/**
 * Compares two revisions of this package in one run: the working tree with any commit.
 *
 * The commit is checked out beside the working tree, as a temporary worktree of git, and gets the working tree's `bench`,
 * so that the same programs run with both. Each round starts each row anew with both; the two then take turns of some
 * milliseconds each. Of a round counts the fastest turn of each side, as a busy machine makes turns slower, never faster.
 *
 * ```sh
 * deno task bench:compare main             # the working tree against main
 * deno task bench:compare HEAD --rounds=9  # against the last commit: without changes, what the machine itself does
 * ```
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { ROWS } from "./compare/rows.ts";
import { Program } from "./compare/side.ts";
import { reportNoMatch } from "./harness/no_match.ts";
import { endProgress, showProgress } from "./harness/progress.ts";
import { summarise } from "./harness/statistics.ts";

/** Turns of each side in a round, and milliseconds that each runs before. */
const TURNS = 20, WARM_UP = 250;

const USAGE = `Usage: deno task bench:compare REV [FLAGS]

Runs the same programs with the package at REV (old) and in the working tree (new), interleaved.
Prints the median time of an operation, new/old (median, least and most of the rounds; below 1 is faster), and new/old
of the fastest turns of all rounds, which a busy machine disturbs least.

  --rounds=N      Rounds, each with new processes (5)
  --ms=N          Milliseconds of one turn (12); a side has ${TURNS} turns a round
  --only=PATTERN  Only rows whose title matches
  --json=FILE     Write the results`;

const flags = parseArgs(Deno.args, {
  boolean: ["help"],
  string: ["_", "rounds", "ms", "only", "json"],
  unknown(argument: string) {
    if (argument.startsWith("-")) fail(`Unknown argument "${argument}"\n\n${USAGE}`);
  },
});
if (flags["help"]) {
  console.log(USAGE);
  Deno.exit();
}
const [revision, ...more] = flags._ as string[];
if (revision === undefined || more.length > 0) fail(`Name one revision to compare with\n\n${USAGE}`);
const rounds = numberOf("rounds", 5), milliseconds = numberOf("ms", 12);
const only = new RegExp(flags["only"] ?? "");
const titles = Object.keys(ROWS).filter((title) => only.test(title));
if (titles.length === 0) {
  reportNoMatch({ only: flags["only"] });
  Deno.exit(1);
}

const here = new URL("..", import.meta.url).pathname;
const commit = await git("rev-parse", "--verify", "--quiet", `${revision}^{commit}`);
if (commit === undefined) fail(`Cannot find the revision "${revision}"`);
const folder = Deno.makeTempDirSync({ prefix: "isthmus-compare-" });
const there = `${folder}/tree/`;
let removed: Promise<void> | undefined;
Deno.addSignalListener("SIGINT", stop);
Deno.addSignalListener("SIGTERM", stop);

interface Result {
  readonly row: string;
  /** Nanoseconds an operation, of each round. */
  readonly old: number[];
  readonly new: number[];
}

let results: Result[];
try {
  if (await git("worktree", "add", "--quiet", "--detach", there, commit) === undefined) {
    throw new Error(`Cannot check "${revision}" out to "${there}"`);
  }
  Deno.removeSync(`${there}bench`, { recursive: true });
  copyPrograms(`${here}bench`, `${there}bench`);
  results = await compareAll();
} finally {
  await removeTree();
}
endProgress();
print(results);
if (flags["json"]) {
  Deno.writeTextFileSync(flags["json"], JSON.stringify({ date: new Date(), commit, results }, null, 1) + "\n");
}
Deno.exit();

/** Copies the programs, without what was built there. */
function copyPrograms(from: string, to: string): void {
  Deno.mkdirSync(to);
  for (const { name, isDirectory, isFile } of Deno.readDirSync(from)) {
    if (isFile) Deno.copyFileSync(`${from}/${name}`, `${to}/${name}`);
    else if (isDirectory && name !== "peers") copyPrograms(`${from}/${name}`, `${to}/${name}`);
  }
}

async function compareAll(): Promise<Result[]> {
  const results = titles.map((row): Result => ({ row, old: [], new: [] }));
  let done = 0;
  for (let round = 0; round < rounds; round++) {
    for (const result of results) {
      showProgress(done++, rounds * titles.length, result.row);
      const [before, after] = await compareOnce(result.row, round % 2 === 1);
      result.old.push(before);
      result.new.push(after);
    }
  }
  return results;
}

/** One row with both revisions: the fastest turn of each. */
async function compareOnce(row: string, newFirst: boolean): Promise<[number, number]> {
  const before = new Program(there, row), after = new Program(here, row);
  try {
    const order = newFirst ? [after, before] : [before, after];
    for (const program of order) await program.turn(WARM_UP);
    // A, B, B, A, …: neither is always the one after the other.
    for (let turn = 0; turn < TURNS; turn++) {
      for (const program of turn % 2 === 0 ? order : order.toReversed()) {
        program.best = Math.min(program.best, await program.turn(milliseconds));
      }
    }
  } finally {
    await Promise.all([before.end(), after.end()]);
  }
  return [before.best, after.best];
}

function print(results: readonly Result[]): void {
  const lines = results.map(({ row, old, new: later }) => {
    const { least, median, most } = summarise(later.map((ns, round) => ns / old[round]!));
    const verdict = rounds < 3 ? "" : least > 1 ? "slower in every round" : most < 1 ? "faster in every round" : "";
    return [
      row,
      time(summarise(old).median),
      time(summarise(later).median),
      median.toFixed(3),
      `${least.toFixed(3)} … ${most.toFixed(3)}`,
      (Math.min(...later) / Math.min(...old)).toFixed(3),
      verdict,
    ];
  });
  const all = [["", "old", "new", "new/old", "least … most", "of fastest", ""], ...lines];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((line) => line[column]!.length)));
  console.log(`${revision} (${commit!.slice(0, 10)}) against the working tree, ${rounds} rounds`);
  for (const line of all) {
    console.log(
      line.map((text, i) => i === 0 ? text.padEnd(widths[i]!) : text.padStart(widths[i]!)).join("  ").trimEnd(),
    );
  }
}

function time(ns: number): string {
  return ns >= 1000 ? `${(ns / 1000).toFixed(2)} µs` : `${ns.toFixed(1)} ns`;
}

async function git(...args: string[]): Promise<string | undefined> {
  const { success, stdout } = await new Deno.Command("git", { args: ["-C", here, ...args], stderr: "inherit" })
    .output();
  return success ? new TextDecoder().decode(stdout).trim() : undefined;
}

function removeTree(): Promise<void> {
  return removed ??= (async () => {
    await git("worktree", "remove", "--force", there);
    Deno.removeSync(folder, { recursive: true });
  })();
}

async function stop(): Promise<void> {
  await Promise.allSettled([...Program.running].map((program) => program.end()));
  await removeTree();
  Deno.exit(130);
}

function numberOf(name: "rounds" | "ms", otherwise: number): number {
  const text = flags[name];
  if (text === undefined) return otherwise;
  const number = Number(text);
  return number >= 1 ? number : fail(`Cannot use --${name}=${text}: it must be a number from 1`);
}

function fail(message: string): never {
  console.error(message);
  Deno.exit(2);
}
