// Results for people: a table a workload kind, and ratios.
import type { Row } from "./run.ts";
import { frameBytes, type Side, titleOf, type Workload } from "./workload.ts";

/** Nanoseconds an operation, in the unit that people use for it. */
export function amount(workload: Workload, ns: number): string {
  if (workload.kind !== "one-way" && workload.kind !== "broadcast") {
    return ns < 1000 ? `${digits(ns)} ns` : `${digits(ns / 1000)} µs`;
  }
  const perSecond = 1e9 / ns;
  const messages = perSecond >= 1e6 ? `${digits(perSecond / 1e6)} M/s` : `${digits(perSecond / 1e3)} k/s`;
  const bytes = workload.payload === "frame" ? frameBytes(workload.size) : workload.size;
  if (workload.payload === "object" || bytes < 4096) return messages;
  return `${messages}, ${digits(perSecond * bytes / 1e9)} GB/s`;
}

function digits(number: number): string {
  return number >= 100 ? number.toFixed(0) : number >= 10 ? number.toFixed(1) : number.toFixed(2);
}

/** The side that rows under load are compared to. */
const SOCKET = "deno-socket";

/**
 * One workload: each side, fastest first, with its spread, its processor time and how it compares to the best of ours;
 * under load, how its time and its processor time compare to those of the Unix socket.
 */
export function rowText(row: Row, sides: readonly Side[]): string {
  const taking = sides.filter(({ id }) => row.cells[id] !== undefined);
  const best = Math.min(...taking.filter(({ ours }) => ours).map(({ id }) => row.cells[id]!.ns.median));
  const socket = row.workload.load === undefined ? undefined : row.cells[SOCKET];
  const lines = taking
    .map((side) => ({ side, cell: row.cells[side.id]! }))
    .sort((a, b) => a.cell.ns.median - b.cell.ns.median)
    .map(({ side, cell: { ns, cpu, missed } }) => [
      side.ours ? `* ${side.title}` : `  ${side.title}`,
      amount(row.workload, ns.median),
      `${amount(row.workload, ns.most)} … ${amount(row.workload, ns.least)}`,
      cpu === undefined ? "" : `${amount({ ...row.workload, kind: "operation" }, cpu)} cpu`,
      missed === undefined ? "" : `${(100 * missed).toFixed(0)} % missed`,
      socket === undefined
        ? Number.isFinite(best) ? `${digits(ns.median / best)} ×` : ""
        : `${digits(ns.median / socket.ns.median)} × the socket's time, ${digits(cpu! / socket.cpu!)} × its cpu`,
    ]);
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]!.length))) ?? [];
  return [
    titleOf(row.workload),
    ...lines.map((line) =>
      line.map((text, column) => text.padEnd(widths[column]!)).filter((text) => text !== "").join("  ").trimEnd()
    ),
  ].join("\n");
}

/** The same as a table in Markdown: a workload a line, a side a column. */
export function markdown(rows: readonly Row[], sides: readonly Side[]): string {
  const kinds = [...new Set(rows.map(({ workload }) => workload.kind))];
  return kinds.map((kind) => {
    const mine = rows.filter(({ workload }) => workload.kind === kind);
    const taking = sides.filter(({ id }) => mine.some(({ cells }) => cells[id] !== undefined));
    const heads = mine.map(({ workload }) => titleOf(workload));
    const lines = taking.map((side) =>
      `| ${side.title} | ${
        mine.map(({ workload, cells }) => cells[side.id] ? amount(workload, cells[side.id]!.ns.median) : "").join(" | ")
      } |`
    );
    return [`| | ${heads.join(" | ")} |`, `|---|${heads.map(() => "---:|").join("")}`, ...lines].join("\n");
  }).join("\n\n");
}
