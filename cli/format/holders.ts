// Who uses a cell or a channel, and in what state it is, for people.
import type { CellInfo } from "../../arc/inspect/mod.ts";
import { processName } from "../../ffi/inspect.ts";
import type { Color } from "./output.ts";
import { printable } from "./text.ts";

/** How often each process is there. */
export function timesOf(pids: readonly number[]): Map<number, number> {
  const times = new Map<number, number>();
  for (const pid of pids) times.set(pid, (times.get(pid) ?? 0) + 1);
  return times;
}

/** Processes, for people: "4711 deno ×2, 4712 python3". */
export function processesText(pids: readonly number[]): string {
  return [...timesOf(pids)].map(([pid, times]) => {
    const name = processName(pid);
    return `${pid}${name === undefined ? "" : ` ${printable(name)}`}${times === 1 ? "" : ` ×${times}`}`;
  }).join(", ");
}

/** What holds it, for people. */
export function holdersText(pids: readonly number[], references = pids.length): string {
  const unseen = references - pids.length;
  const parts = [processesText(pids), ...(unseen > 0 ? [`${unseen} that cannot be seen`] : [])];
  return parts.filter((part) => part !== "").join(", ");
}

/** Who has the lock of a cell, for people. */
export function lockedText({ lockedBy }: CellInfo): string {
  return lockedBy === undefined ? "a process that cannot be seen" : processesText([lockedBy]);
}

/** "live", "stale" or "damaged", with its colour. */
export function stateText(stale: boolean, damage: string | undefined): [text: string, color: Color] {
  if (damage !== undefined) return ["damaged", "red"];
  return stale ? ["stale", "yellow"] : ["live", "green"];
}
