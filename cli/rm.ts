// `isthmus rm`: removes a shared cell or a named channel.
import { cellInfo, removeCell } from "../arc/registry.ts";
import { IpcReceiver } from "../channel/receiver.ts";
import { namedChannelInfo } from "../channel/ring_file_list.ts";
import { type Command, Refused } from "./command.ts";

/** The command. */
export const rm: Command = {
  name: "rm",
  summary: "Remove a shared cell, or a named channel with what waits in it",
  details:
    "NAME is the name of a cell, or a path (with a slash) of a channel. What a living process uses is left alone " +
    "unless --force is given; then its users go on with each other, without the name.",
  operands: ["NAME"],
  flags: { force: { help: "Also if a living process uses it", short: "f" } },
  examples: [
    ["isthmus rm progress", "remove a cell"],
    ["isthmus rm /dev/shm/jobs --force", "remove a channel that is in use"],
  ],
  run({ operands, flags, out }): number {
    const name = operands[0]!;
    const force = flags["force"] !== undefined;
    if (name.includes("/")) {
      const info = namedChannelInfo(name);
      if (info === undefined) throw new Refused(`Cannot remove "${name}": there is no named channel at that path`);
      if (!IpcReceiver.remove(name, { force })) throw inUse(name);
    } else {
      const info = cellInfo(name);
      if (info === undefined) throw new Refused(`Cannot remove "${name}": there is no shared cell of that name`);
      if (!info.stale && !force) throw inUse(name);
      removeCell(name);
    }
    out.line(`removed ${name}`);
    return 0;
  },
};

function inUse(name: string): Refused {
  return new Refused(`Cannot remove "${name}": a living process uses it; end that first, or add --force`);
}
