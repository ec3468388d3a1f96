// `isthmus ls`: the shared cells and named channels there are, and who uses them.
import { SHARED_FOLDER } from "../../ffi/file/named_file.ts";
import { type CellInfo, listCells } from "../../arc/inspect/registry.ts";
import { listHeldChannels, listNamedChannels, type NamedChannelInfo, namedChannelInfo } from "../../channel/inspect.ts";
import { fileStatus } from "../../ffi/file/file_status.ts";
import { type OpenFiles, openFiles, processName } from "../../ffi/file/open_files.ts";
import { type Command, Refused } from "../program/command.ts";
import { checkName, isPath } from "../program/operand_name.ts";
import { type TableCell, writeTable } from "../format/table.ts";
import { bytesText, printable } from "../format/text.ts";

/** Where named channels are looked for in any case, as `gc` does. */

/** The command. */
export const ls: Command = {
  name: "ls",
  summary: "List shared cells and named channels, and who uses them",
  details:
    `Channels are files at any path: those that processes hold are found, and those in ${SHARED_FOLDER}; name other folders, ` +
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
    const isFolder = fileStatus(place, true)?.folder ?? place === SHARED_FOLDER;
    if (isFolder) {
      add(listNamedChannels(place, opened));
      continue;
    }
    const info = namedChannelInfo(place, opened);
    if (info === undefined) throw new Refused(`Cannot list "${place}": it is no folder, and no named channel`);
    add([info]);
  }
  return [...found.values()].sort((a, b) => a.path < b.path ? -1 : 1);
}

/** A process, for JSON. */
export interface ProcessDocument {
  readonly pid: number;
  /** What it is called, if that can be seen. */
  readonly name: string | null;
}

/** A process for JSON; `null` for none. */
export function processDocument(pid: number | undefined): ProcessDocument | null {
  return pid === undefined ? null : { pid, name: processName(pid) ?? null };
}

/** What is known of a cell, for JSON. */
export function cellDocument(cell: CellInfo): Record<string, unknown> {
  return {
    name: cell.name,
    kind: cell.kind,
    layout: cell.layout === "" ? null : cell.layout,
    size: cell.size,
    capacity: cell.capacity,
    length: cell.length,
    references: cell.references,
    holders: holdersDocument(cell.holders),
    lockedBy: cell.locked && cell.lockedBy === undefined ? { pid: null, name: null } : processDocument(cell.lockedBy),
    stale: cell.stale,
    damage: cell.damage ?? null,
  };
}

/** What is known of a channel, for JSON. */
export function channelDocument(channel: NamedChannelInfo): Record<string, unknown> {
  return {
    path: channel.path,
    size: channel.size,
    capacity: channel.capacity,
    messages: channel.messages,
    waiting: channel.waiting,
    holders: holdersDocument(channel.holders),
    receiver: processDocument(channel.receiver),
    senders: holdersDocument(channel.senders),
    stale: !channel.attached,
    damage: channel.damage ?? null,
  };
}

function holdersDocument(pids: readonly number[]): (ProcessDocument & { times: number })[] {
  return [...timesOf(pids)].map(([pid, times]) => ({ ...processDocument(pid)!, times }));
}

function timesOf(pids: readonly number[]): Map<number, number> {
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
export function stateText(stale: boolean, damage: string | undefined): [string, "green" | "yellow" | "red"] {
  if (damage !== undefined) return ["damaged", "red"];
  return stale ? ["stale", "yellow"] : ["live", "green"];
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
