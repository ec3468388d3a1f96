// `isthmus gc`: finds what killed processes left, and removes it.
import { listCells, removeStaleCells } from "../arc/registry.ts";
import { removeEmptyRingFile } from "../channel/ring_file.ts";
import { isUnused, listNamedChannels, type NamedChannelInfo } from "../channel/ring_file_list.ts";
import type { Command } from "./command.ts";

/** Where named channels are looked for if no folder is named. */
const DEFAULT_FOLDER = "/dev/shm";

/** The command. */
export const gc: Command = {
  name: "gc",
  summary: "Show what killed processes have left, and remove it with --yes",
  details:
    "Looks at all shared cells, and at the named channels in a folder, /dev/shm unless told. What a living process " +
    "uses is never touched; a channel with messages in it waits for its receiver, and is left as well.",
  operands: ["[FOLDER]"],
  flags: {
    yes: { help: "Remove it", short: "y" },
    json: { help: "Print one JSON document" },
  },
  examples: [
    ["isthmus gc", "what would be removed"],
    ["isthmus gc --yes", "remove it"],
    ["isthmus gc /run/user/1000 --yes", "with the named channels there"],
  ],
  run({ operands, flags, out }): number {
    const channels = listNamedChannels(operands[0] ?? DEFAULT_FOLDER).filter(({ path, attached }) =>
      !attached && isUnused(path)
    );
    const stale = channels.filter(({ waiting }) => waiting === 0);
    const kept = channels.filter(({ waiting }) => waiting !== 0);
    const remove = flags["yes"] !== undefined;
    const cells = remove ? removeStaleCells() : listCells().filter((cell) => cell.stale).map(({ name }) => name);
    const paths = stale.map(({ path }) => path).filter((path) => !remove || removeEmptyRingFile(path));
    if (flags["json"]) {
      out.json({ removed: remove, cells, channels: paths, kept: kept.map(describe) });
      return 0;
    }
    const verb = remove ? "removed" : "would remove";
    for (const name of cells) out.line(`${verb}  cell     ${name}`);
    for (const path of paths) out.line(`${verb}  channel  ${path}`);
    for (const { path, waiting } of kept) {
      out.line(`kept  channel  ${path}: ${waiting} bytes wait in it for a receiver; "isthmus rm ${path}" drops them`);
    }
    if (cells.length + paths.length + kept.length === 0) out.line("Nothing is left over");
    else if (!remove && cells.length + paths.length > 0) out.line('Run "isthmus gc --yes" to remove it');
    return 0;
  },
};

function describe({ path, waiting }: NamedChannelInfo): { path: string; waiting: number } {
  return { path, waiting };
}
