// `isthmus rm`: removes a shared cell or a named channel.
import { cellInfo, CellPeek, lockState, removeCell, removeUnusedLock } from "../../arc/inspect/mod.ts";
import { IpcReceiver } from "../../channel/mod.ts";
import { removeTopic, RingPeek, topicInfo, topicPath } from "../../channel/inspect.ts";
import { SHARED_FOLDER } from "../../ffi/inspect.ts";
import { type Command, Refused } from "../program/command.ts";
import { checkName, isPath } from "../program/operand_name.ts";
import { printable } from "../format/text.ts";
import { noCell, noChannel } from "../program/not_there.ts";

/** The command. */
export const rm: Command = {
  name: "rm",
  summary: "Remove a shared cell, a named channel with what waits in it, a topic or an unused lock",
  details:
    "NAME is the name of a cell, a topic or a lock, or a path (with a slash) of a channel or a topic; of one name, the " +
    "first of these. What a living process uses is left alone " +
    "unless --force is given; then its users go on with each other, without the name.",
  operands: ["NAME"],
  flags: { force: { help: "Also if a living process uses it", short: "f" } },
  examples: [
    ["isthmus rm progress", "remove a cell"],
    [`isthmus rm ${SHARED_FOLDER}/jobs --force`, "remove a channel that is in use"],
  ],
  run({ operands, flags, out }): number {
    const name = checkName(operands[0]!);
    const force = flags["force"] !== undefined;
    remove(name, force);
    out.line(`removed ${name}`);
    return 0;
  },
};

/** Of one name without a slash: a cell, else a topic, else a lock. */
function remove(name: string, force: boolean): void {
  if (isPath(name)) return topicInfo(name) === undefined ? removeChannel(name, force) : removeNamedTopic(name, force);
  if (cellInfo(name) !== undefined) return removeNamedCell(name, force);
  if (topicInfo(topicPath(name)) !== undefined) return removeNamedTopic(name, force);
  if (lockState(name) === undefined) return removeNamedCell(name, force); // says that there is none
  if (!removeUnusedLock(name)) {
    throw new Refused(`Cannot remove the lock "${printable(name)}": a living process uses it`);
  }
}

function removeNamedTopic(name: string, force: boolean): void {
  if (!removeTopic(topicPath(name), force)) throw inUse(name);
}

function removeChannel(path: string, force: boolean): void {
  {
    using ring = RingPeek.open(path);
    if (ring === undefined) throw noChannel("remove", path);
  }
  if (!IpcReceiver.remove(path, { force })) throw inUse(path);
}

function removeNamedCell(name: string, force: boolean): void {
  {
    using cell = CellPeek.open(name);
    if (cell === undefined) throw noCell("remove", name);
    if (!cell.info().stale && !force) throw inUse(name);
  }
  if (!removeCell(name)) throw noCell("remove", name);
}

function inUse(name: string): Refused {
  return new Refused(`Cannot remove "${name}": a living process uses it; end that first, or add --force`);
}
