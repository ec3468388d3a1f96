// The benchmarks measure what their targets, and the table of the README, speak of; and something, or they fail.
import { assertEquals } from "@std/assert";
import { takesPart, titleOf } from "../../bench/harness/workload.ts";
import { LINES } from "../../bench/publish/readme_table.ts";
import { sidesOf } from "../../bench/sides/mod.ts";
import { TARGETS } from "../../bench/targets.ts";
import { everything } from "../../bench/workloads.ts";
import { processTest } from "../support/test.ts";

const workloads = everything(1, 1), sides = sidesOf(true, false);

/** Whether a side takes part in the row of a title. */
function isMeasured(title: string, id: string): boolean {
  const workload = workloads.find((workload) => titleOf(workload) === title);
  const side = sides.find((side) => side.id === id);
  return workload !== undefined && side !== undefined && takesPart(side, workload);
}

Deno.test("Every target of the benchmarks speaks of rows and sides that are measured", () => {
  const unknown = TARGETS.filter(({ row, ours, peer, peerRow = row }) =>
    !isMeasured(row, ours) || (peer !== undefined && !isMeasured(peerRow, peer))
  );
  assertEquals(unknown, []);
});

Deno.test("Every line of the README's table is measured, with all its sides", () => {
  const unknown = LINES.filter(({ row, ours, others }) => ![ours, ...others].every((id) => isMeasured(row, id)));
  assertEquals(unknown, []);
});

Deno.test("No two rows of the benchmarks have the same title, and no two sides the same id", () => {
  const titles = workloads.map(titleOf), ids = sides.map(({ id }) => id);
  assertEquals([new Set(titles).size, new Set(ids).size], [titles.length, ids.length]);
});

for (
  const [program, args, said] of [
    ["main.ts", ["--only=nothing like it"], "--only=nothing like it (without --peers)"],
    ["main.ts", ["--quick", "--peers", "--sides=redis"], "--sides=redis (with --quick)"],
    ["main.ts", ["--list", "--group=nothing", "--sides="], "--group=nothing --sides= (without --peers)"],
    ["compare.ts", ["HEAD", "--only=nothing like it"], "--only=nothing like it"],
  ] as const
) {
  processTest(`bench/${program} ${args.join(" ")} says that no row matches, and fails`, async () => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", "--quiet", new URL(`../../bench/${program}`, import.meta.url).pathname, ...args],
      stdin: "null",
    }).output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assertEquals({ code, out, err }, { code: 1, out: "", err: `Nothing to measure: no row matches ${said}\n` });
  });
}
