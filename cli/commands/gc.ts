// `isthmus gc`: finds what killed processes left, and removes it.
import { collectStaleCells, idleLocks, listCells } from "../../arc/inspect/mod.ts";
import {
  isTopicUnused,
  isUnused,
  listNamedChannels,
  listTopics,
  type NamedChannelInfo,
  orphanTopics,
  removeEmptyRingFile,
  removeTopic,
  topicName,
} from "../../channel/inspect.ts";
import { IpcError } from "../../base/error.ts";
import { isFolder, SHARED_FOLDER } from "../../ffi/inspect.ts";
import { type Command, Refused } from "../program/command.ts";
import { checkIsPath } from "../program/operand_name.ts";
import { printable } from "../format/text.ts";

/** The command. */
export const gc: Command = {
  name: "gc",
  summary: "Show what killed processes have left, and remove it with --yes",
  details: "Looks at all shared cells and locks, and at the named channels and topics in a folder, " +
    `${SHARED_FOLDER} by default. What a living process ` +
    "uses is never touched; a channel with messages in it waits for its receiver, and is left as well. What this user may not remove is told, and makes the exit code 1.",
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
    const folder = operands[0] === undefined ? SHARED_FOLDER : checkIsPath(operands[0], "a folder");
    // Before anything is removed.
    if (operands[0] !== undefined && !isFolder(folder)) {
      throw new Refused(`Cannot look at "${folder}": it is not a folder`);
    }
    const channels = listNamedChannels(folder).filter(({ path, attached }) => !attached && isUnused(path));
    const stale = channels.filter(({ waiting }) => waiting === 0);
    const kept = channels.filter(({ waiting }) => waiting !== 0);
    const remove = flags["yes"] !== undefined;
    const failed: Failed[] = [];
    const cells = remove ? removeCells(failed) : listCells().filter((cell) => cell.stale).map(({ name }) => name);
    const paths = stale.map(({ path }) => path).filter((path) => !remove || removeChannel(path, failed));
    const topics = [
      ...listTopics(folder).filter(({ path, attached }) => !attached && isTopicUnused(path))
        .filter(({ path }) => !remove || removeIdleTopic(path, failed)).map(({ name }) => name),
      ...orphanTopics(folder, remove).map(topicName),
    ];
    const locks = idleLocks(remove);
    const code = failed.length > 0 ? 1 : 0;
    if (flags["json"]) {
      out.json({
        removed: remove,
        cells,
        channels: paths,
        topics,
        locks,
        kept: kept.map(describe),
        ...(code === 0 ? {} : { failed }),
      });
      return code;
    }
    const verb = remove ? "removed" : "would remove";
    for (const name of cells) out.line(`${verb}  cell     ${printable(name)}`);
    for (const path of paths) out.line(`${verb}  channel  ${printable(path)}`);
    for (const name of topics) out.line(`${verb}  topic    ${printable(name)}`);
    for (const name of locks) out.line(`${verb}  lock     ${printable(name)}`);
    for (const { path, waiting } of kept) {
      const shown = printable(path);
      out.line(`kept  channel  ${shown}: ${waiting} bytes wait in it for a receiver; "isthmus rm ${shown}" drops them`);
    }
    for (const { reason } of failed) out.line(`kept  ${printable(reason)}`);
    const found = cells.length + paths.length + topics.length + locks.length;
    if (found + kept.length + failed.length === 0) out.line("Nothing is left over");
    else if (!remove && found > 0) out.line('Run "isthmus gc --yes" to remove it');
    return code;
  },
};

/** What could not be removed, and why. */
interface Failed {
  readonly name: string;
  readonly reason: string;
}

function removeCells(failed: Failed[]): readonly string[] {
  const found = collectStaleCells();
  failed.push(...found.failed);
  return found.removed;
}

function removeChannel(path: string, failed: Failed[]): boolean {
  return removeFile(path, failed, () => removeEmptyRingFile(path));
}

function removeIdleTopic(path: string, failed: Failed[]): boolean {
  return removeFile(path, failed, () => removeTopic(path, false));
}

function removeFile(path: string, failed: Failed[], remove: () => boolean): boolean {
  try {
    return remove();
  } catch (error) {
    if (!(error instanceof IpcError)) throw error;
    failed.push({ name: path, reason: error.message });
    return false;
  }
}

function describe({ path, waiting }: NamedChannelInfo): { path: string; waiting: number } {
  return { path, waiting };
}
