// Writes what a run of everything has found: the page of results, the drawing, and the table of the README. What people
// have written around the marked parts stays.
import { chart } from "../harness/chart.ts";
import type { Row } from "../harness/run.ts";
import { rowText } from "../harness/table.ts";
import type { Group, Side } from "../harness/workload.ts";
import { verdicts } from "../targets.ts";
import { isDrawn } from "../workloads.ts";
import { machine } from "./machine.ts";
import { readmeTable, roundsText } from "./readme_table.ts";

/** A run of everything. */
export interface Run {
  readonly rows: readonly Row[];
  readonly sides: readonly Side[];
  readonly rounds: number;
  readonly milliseconds: number;
  /** What could not be measured, and why. */
  readonly leftOut: readonly string[];
}

const ROOT = new URL("../../", import.meta.url).pathname;
const RESULTS = `${ROOT}bench/RESULTS.md`, README = `${ROOT}README.md`, SVG = `${ROOT}bench/results.svg`;

const HEADINGS: Readonly<Record<Group, string>> = {
  messages: "Messages between two processes",
  loaded: "Without a spare processor",
  calls: "Calls and starts",
  broadcast: "One publisher, several subscribers",
  operations: "What one process does alone",
};

/** Looks for the marked parts before anything is measured. */
export function checkPages(): void {
  replaceBetween(RESULTS, "run");
  replaceBetween(README, "figures");
}

/** Writes all three. */
export async function publish(run: Run): Promise<void> {
  const drawn = run.rows.filter(({ workload }) => isDrawn(workload));
  Deno.writeTextFileSync(SVG, chart("Messages between two processes", drawn, run.sides));
  replaceBetween(RESULTS, "run", await resultsText(run));
  replaceBetween(README, "figures", readmeTable(run.rows, run.rounds));
  const { success } = await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", RESULTS, README], cwd: ROOT })
    .output();
  if (!success) throw new Error("Cannot format bench/RESULTS.md and README.md");
}

async function resultsText({ rows, sides, rounds, milliseconds, leftOut }: Run): Promise<string> {
  const date = new Date().toISOString().slice(0, 10);
  const groups = (Object.keys(HEADINGS) as Group[]).map((group) => {
    const mine = rows.filter(({ workload }) => workload.group === group);
    return `## ${HEADINGS[group]}\n\n${block(mine.map((row) => rowText(row, sides)).join("\n\n"))}`;
  });
  const targets = verdicts(rows).map(({ reached, text }) => `${reached ? "reached" : "MISSED "}  ${text}`);
  const missing = leftOut.map((text) => `- Left out: ${text}`);
  return [
    `One run of \`deno task bench:publish --rounds=${rounds} --ms=${milliseconds}\` on ${date}. ` +
    `A round runs all rows; the sides of a row run in turn. Medians of ${
      roundsText(rounds)
    }, with the least and the most.`,
    await machine(),
    ...(missing.length > 0 ? [missing.join("\n")] : []),
    ...groups,
    `## Targets\n\n${block(targets.join("\n"))}`,
    `## Before anything is sent\n\n${block((await footprint()).trim())}`,
  ].join("\n\n");
}

function block(text: string): string {
  return `\`\`\`text\n${text}\n\`\`\``;
}

async function footprint(): Promise<string> {
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--quiet", `${ROOT}bench/footprint.ts`],
    stderr: "inherit",
  }).output();
  if (!success) throw new Error("Cannot measure the footprint");
  return new TextDecoder().decode(stdout);
}

/** Replaces what stands between `<!-- name -->` and `<!-- /name -->`; without a text it only looks for the two. */
function replaceBetween(file: string, name: string, text?: string): void {
  const page = Deno.readTextFileSync(file);
  const open = `<!-- ${name} -->`, close = `<!-- /${name} -->`;
  const begin = page.indexOf(open), end = page.indexOf(close);
  if (begin < 0 || end < begin) throw new Error(`Cannot find "${open}" and "${close}" in "${file}"`);
  if (text === undefined) return;
  Deno.writeTextFileSync(file, `${page.slice(0, begin + open.length)}\n\n${text}\n\n${page.slice(end)}`);
}
