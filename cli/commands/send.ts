// `isthmus send`: sends what it reads, or what it is given, to a named channel.
import { IpcBytesSender, IpcSender } from "../../channel/mod.ts";
import { DEFAULT_CAPACITY, removeEmptyRingFile, RingPeek } from "../../channel/inspect.ts";
import { IpcError } from "../../base/error.ts";
import { SHARED_FOLDER } from "../../ffi/inspect.ts";
import { millisecondsOf } from "../program/arguments.ts";
import { CHANNEL_FLAGS, channelOptionsOf } from "../program/channel_options.ts";
import type { Command } from "../program/command.ts";
import { formatFlags, formatOf } from "../program/message_format.ts";
import { checkChannel } from "../program/operand_name.ts";
import { PIECE, sendAll, sendInput, valueGiven } from "../program/outgoing_messages.ts";
import { Stop } from "../program/stop.ts";

/** The command. */
export const send: Command = {
  name: "send",
  summary: "Send lines of the standard input, or the values given, to a named channel",
  details: [
    "Makes the channel if there is none. What is sent while nobody receives waits in it, as far as there is room. A full",
    "channel is waited for, and meanwhile nothing is read, so the writer of the input waits as well.",
    "",
    "Each line is a message, a text; with --json it is the value that the JSON stands for, where what JSON lacks is an",
    'object such as {"$bigint": "12"} or {"$bytes": "AQI="}, and blank lines are left out. With --raw the input is sent as',
    `messages of bytes, as it is read, at most ${PIECE} bytes each: one after the other they are the input again.`,
    'Values that are given are a message each, and the input is not read: a VALUE is JSON, as for "isthmus set", or a text',
    "that is not JSON and does not begin as JSON does; with --json it must be JSON, with --raw it is bytes. It ends at the",
    "first line that cannot be sent; what was sent before it stays sent.",
  ].join("\n"),
  operands: ["PATH", "[VALUE...]"],
  flags: {
    ...formatFlags("Each line, or value, is JSON", "Send bytes as they are"),
    timeout: { help: "Wait for room no longer than this, for each message", value: "MS" },
    ...CHANNEL_FLAGS,
  },
  examples: [
    [`isthmus send ${SHARED_FOLDER}/jobs hello`, "one message"],
    [`tail -f log | isthmus send ${SHARED_FOLDER}/jobs`, "lines as they come"],
    [`isthmus send ${SHARED_FOLDER}/jobs '{"id": 1}' 2`, "two values"],
    [`isthmus send ${SHARED_FOLDER}/file --raw <file`, "bytes"],
  ],
  async run(call): Promise<number> {
    const [path, ...given] = call.operands as [string, ...string[]];
    const format = formatOf(call);
    const timeout = millisecondsOf(call, "timeout") ?? Infinity;
    checkChannel(path);
    const named = channelOptionsOf(call);
    const values = given.map((text, i) => valueGiven(format, text, i)); // all of them, before any is sent
    using stop = new Stop();
    const sender = format === "raw" ? IpcBytesSender.open(path, named) : IpcSender.open<unknown>(path, named);
    const wait = { timeout, signal: stop.signal };
    const put = async (value: unknown) => await sender.send(value as Uint8Array, wait);
    try {
      if (values.length > 0) await sendAll(values, put);
      else await sendInput(format, capacityAt(path), stop, put);
    } finally {
      sender.close();
      // A receiver that ended while this sender was attached has left the files for it.
      removeIfEmpty(path);
    }
    return 0;
  },
};

/** Another user's stays: who comes next uses it. */
function removeIfEmpty(path: string): void {
  try {
    removeEmptyRingFile(path);
  } catch (error) {
    if (!(error instanceof IpcError) || error.code !== "Permission") throw error;
  }
}

function capacityAt(path: string): number {
  using ring = RingPeek.open(path);
  return ring?.capacity ?? DEFAULT_CAPACITY;
}
