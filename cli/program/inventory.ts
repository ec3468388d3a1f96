// What there is on this machine: cells, channels, topics and locks, as far as this user may see them.
import { type CellInfo, listCells, listLocks, type LockState } from "../../arc/inspect/mod.ts";
import {
  listHeldChannels,
  listHeldTopics,
  listNamedChannels,
  listTopics,
  type NamedChannelInfo,
  namedChannelInfo,
  type TopicInfo,
  topicInfo,
} from "../../channel/inspect.ts";
import { isFolder, type OpenFiles, openFiles, SHARED_FOLDER } from "../../ffi/inspect.ts";
import { Refused } from "./command.ts";
import { checkName, isPath } from "./operand_name.ts";
import { printable } from "../format/text.ts";

/** All that was found. */
export interface Inventory {
  readonly cells: readonly CellInfo[];
  readonly channels: readonly NamedChannelInfo[];
  readonly topics: readonly TopicInfo[];
  readonly locks: readonly LockState[];
}

/**
 * Looks for all of it. Nothing is attached to, locked or changed.
 *
 * @param operands Folders, channels and topics besides those that processes hold and those in {@linkcode SHARED_FOLDER};
 * names of cells, which must be there and change nothing, as all cells are found.
 * @param what What is done with them, for the error: "list". Without it, what is not there is left out.
 * @throws {Refused} If one is not there.
 */
export function inventory(operands: readonly string[], what?: string): Inventory {
  const opened = openFiles();
  const cells = listCells();
  if (what !== undefined) {
    for (const name of operands) if (!isPath(checked(name))) mustBeCell(name, cells, what);
  }
  const { channels, topics } = filesAt([SHARED_FOLDER, ...operands.filter(isPath)], opened, what);
  return { cells, channels, topics, locks: listLocks() };
}

/** A folder may end in a slash. */
function checked(operand: string): string {
  return operand === "" || !isPath(operand) ? checkName(operand) : operand;
}

function mustBeCell(name: string, cells: readonly CellInfo[], what: string): void {
  if (cells.some((cell) => cell.name === name)) return;
  const shown = printable(name);
  throw new Refused(
    `Cannot ${what} "${shown}": there is no shared cell of that name; a folder or channel is "./${shown}"`,
  );
}

/** Those in folders, those that are named, and those that processes hold: by path, each once. */
function filesAt(
  places: readonly string[],
  opened: OpenFiles,
  what: string | undefined,
): { channels: NamedChannelInfo[]; topics: TopicInfo[] } {
  const channels = [...listHeldChannels(opened)], topics = [...listHeldTopics(opened)];
  for (const place of places) {
    if (place === SHARED_FOLDER || isFolder(place)) {
      channels.push(...listNamedChannels(place, opened));
      topics.push(...listTopics(place));
      continue;
    }
    const channel = namedChannelInfo(place, opened), topic = topicInfo(place);
    if (channel !== undefined) channels.push(channel);
    else if (topic !== undefined) topics.push(topic);
    else if (what !== undefined) {
      throw new Refused(`Cannot ${what} "${printable(place)}": it is neither a folder nor a named channel`);
    }
  }
  return { channels: eachOnce(channels), topics: eachOnce(topics) };
}

function eachOnce<T extends { readonly path: string }>(infos: readonly T[]): T[] {
  return [...new Map(infos.map((info) => [info.path, info])).values()].sort((a, b) => a.path < b.path ? -1 : 1);
}
