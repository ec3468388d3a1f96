// `isthmus ls`: the shared cells, named channels, topics and locks there are, and who uses them.
import type { CellInfo, LockState } from "../../arc/inspect/mod.ts";
import type { NamedChannelInfo, TopicInfo } from "../../channel/inspect.ts";
import { SHARED_FOLDER } from "../../ffi/inspect.ts";
import { cellDocument, channelDocument, lockDocument, topicDocument } from "../format/documents.ts";
import { holdersText, lockedText, processesText, stateText } from "../format/holders.ts";
import type { Command } from "../program/command.ts";
import { inventory } from "../program/inventory.ts";
import { type TableEntry, writeTable } from "../format/table.ts";
import { bytesText, printable } from "../format/text.ts";

/** The command. */
export const ls: Command = {
  name: "ls",
  summary: "List shared cells, named channels, topics and locks, and who uses them",
  details: "Channels and topics are files at any path: those that processes hold are found, and those in " +
    `${SHARED_FOLDER}; name other folders, ` +
    "channels or topics, to see them too. Processes of other users are seen as far as the system lets this user see them. " +
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
    const { cells, channels, topics, locks } = inventory(operands, "list");
    if (flags["json"]) {
      out.json({
        cells: cells.map(cellDocument),
        channels: channels.map(channelDocument),
        topics: topics.map(topicDocument),
        locks: locks.map(lockDocument),
      });
      return 0;
    }
    const rows = [...cells.map(cellRow), ...channels.map(channelRow), ...topics.map(topicRow), ...locks.map(lockRow)];
    if (rows.length === 0) out.line("No shared cells, no named channels, topics or locks");
    else writeTable(out, ["KIND", "NAME", "SIZE", "STATE", "HELD BY", "NOTES"], rows, 1);
    return 0;
  },
};

function cellRow(cell: CellInfo): TableEntry[] {
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

function channelRow(channel: NamedChannelInfo): TableEntry[] {
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

function topicRow(topic: TopicInfo): TableEntry[] {
  const notes = [
    `${topic.published.toLocaleString("en")} published`,
    topic.publishers.length === 0 ? "no publisher" : `by ${processesText(topic.publishers)}`,
  ];
  if (topic.damage !== undefined) notes.push(topic.damage);
  return [
    "topic",
    printable(topic.name),
    bytesText(topic.size),
    stateText(!topic.attached, topic.damage),
    holdersText([...topic.publishers, ...topic.subscribers]),
    notes.join(", "),
  ];
}

function lockRow({ name, held, pending, ownerDied }: LockState): TableEntry[] {
  const notes = [
    held.length === 0 ? "nobody holds it" : held[0]!.mode,
    ...(pending.length === 0 ? [] : [`${pending.length} wait`]),
    ...(ownerDied ? ["a holder died"] : []),
  ];
  return [
    "lock",
    printable(name),
    "",
    stateText(held.length + pending.length === 0, undefined),
    processesText(held.map(({ pid }) => pid)),
    notes.join(", "),
  ];
}
