// `isthmus ls`: the shared cells and named channels there are, and who uses them.
import { type CellInfo, listCells } from "../../arc/inspect/mod.ts";
import { listHeldChannels, listNamedChannels, type NamedChannelInfo, namedChannelInfo } from "../../channel/inspect.ts";
import { isFolder, type OpenFiles, openFiles, SHARED_FOLDER } from "../../ffi/inspect.ts";
import { cellDocument, channelDocument } from "../format/documents.ts";
import { holdersText, lockedText, stateText } from "../format/holders.ts";
import { type Command, Refused } from "../program/command.ts";
import { checkName, isPath } from "../program/operand_name.ts";
import { type TableCell, writeTable } from "../format/table.ts";
import { bytesText, printable } from "../format/text.ts";

/** The command. */
export const ls: Command = {
  name: "ls",
  summary: "List shared cells and named channels, and who uses them",
  details: "Channels are files at any path: those that processes hold are found, and those in " +
    `${SHARED_FOLDER}; name other folders, ` +
    "or channels, to see them too. Processes of other users are seen as far as the system lets this user see them. " +
    "Nothing is attached to, locked or changed. SIZE is that of the memory file.\n\n" +
    'stale: every process that held it has ended. "isthmus gc" removes what is stale, but not messages that wait.',
  operands: ["[PATH...]"],
  flags: { json: { help: "Print one JSON document" } },
  examples: [
    ["isthmus ls", `all cells, and the channels that are held or in ${SHARED_FOLDER}`],
    ["isthmus ls /run/user/1000", "with the channels in that folder"],
    ["isthmus ls --json | jq '.cells[] | select(.stale).name'", "for programs"],
  ],
  run({ operands, flags, out }): number {
    const opened = openFiles();
    const cells = listCells();
    for (const name of operands) if (!isPath(checkListed(name))) mustBeCell(name, cells);
    const channels = channelsAt([SHARED_FOLDER, ...operands.filter(isPath)], opened);
    if (flags["json"]) {
      out.json({ cells: cells.map(cellDocument), channels: channels.map(channelDocument) });
      return 0;
    }
    const rows = [...cells.map(cellRow), ...channels.map(channelRow)];
    if (rows.length === 0) out.line("No shared cells, no named channels");
    else writeTable(out, ["KIND", "NAME", "SIZE", "STATE", "HELD BY", "NOTES"], rows, 1);
    return 0;
  },
};

/** A folder may end in a slash. */
function checkListed(operand: string): string {
  return operand === "" || !isPath(operand) ? checkName(operand) : operand;
}

/** A name without a slash is that of a cell, and all cells are listed. */
function mustBeCell(name: string, cells: readonly CellInfo[]): void {
  if (cells.some((cell) => cell.name === name)) return;
  const shown = printable(name);
  throw new Refused(
    `Cannot list "${shown}": there is no shared cell of that name; a folder or channel is "./${shown}"`,
  );
}

/** By path, each once. */
function channelsAt(places: readonly string[], opened: OpenFiles): NamedChannelInfo[] {
  const found = new Map<string, NamedChannelInfo>();
  const add = (infos: readonly NamedChannelInfo[]) => {
    for (const info of infos) found.set(info.path, info);
  };
  add(listHeldChannels(opened));
  for (const place of places) {
    if (place === SHARED_FOLDER || isFolder(place)) {
      add(listNamedChannels(place, opened));
      continue;
    }
    const info = namedChannelInfo(place, opened);
    if (info === undefined) throw new Refused(`Cannot list "${place}": it is no folder, and no named channel`);
    add([info]);
  }
  return [...found.values()].sort((a, b) => a.path < b.path ? -1 : 1);
}

function cellRow(cell: CellInfo): TableCell[] {
  const notes = [cell.kind === "cbor" ? "CBOR" : cell.layout === "" ? "layout unknown" : printable(cell.layout)];
  if (cell.locked) notes.push(`locked by ${lockedText(cell)}`);
  if (cell.damage !== undefined) notes.push(printable(cell.damage));
  return [
    "cell",
    printable(cell.name),
    bytesText(cell.size),
    stateText(cell.stale, cell.damage),
    holdersText(cell.holders, cell.references),
    notes.join(", "),
  ];
}

function channelRow(channel: NamedChannelInfo): TableCell[] {
  const notes = [
    `${channel.messages === 0 ? "no" : channel.messages.toLocaleString("en")} message${
      channel.messages === 1 ? " waits" : "s wait"
    }`,
  ];
  if (channel.receiver === undefined) notes.push("no receiver");
  if (channel.damage !== undefined) notes.push(channel.damage);
  return [
    "channel",
    printable(channel.path),
    bytesText(channel.size),
    stateText(!channel.attached, channel.damage),
    holdersText(channel.holders),
    notes.join(", "),
  ];
}
