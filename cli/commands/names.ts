// `isthmus names`, which the shells' completions run: what there is, a name a line.
import type { Command } from "../program/command.ts";
import { inventory } from "../program/inventory.ts";
import { printable } from "../format/text.ts";

/** The command; it is in no help, as it is for programs alone. */
export const names: Command = {
  name: "names",
  summary: "Print the names of all cells, topics and locks, and the paths of channels",
  examples: [],
  hidden: true,
  run({ out }): number {
    const { cells, channels, topics, locks } = inventory([]);
    const all = [...cells.map(({ name }) => name), ...channels.map(({ path }) => path)];
    all.push(...topics.map(({ name }) => name), ...locks.map(({ name }) => name));
    // A name that somebody else chose, with a line break or what acts on a terminal, is not offered.
    for (const name of new Set(all)) if (printable(name) === name) out.line(name);
    return 0;
  },
};
