// `isthmus recv`: receives from a named channel, and prints.
import { IpcBytesReceiver, IpcReceiver } from "../../channel/mod.ts";
import { SHARED_FOLDER } from "../../ffi/inspect.ts";
import { integerOf, millisecondsOf } from "../program/arguments.ts";
import { CHANNEL_FLAGS, channelOptionsOf } from "../program/channel_options.ts";
import type { Command } from "../program/command.ts";
import { formatFlags, formatOf } from "../program/message_format.ts";
import { follow, writerOf } from "../program/incoming_messages.ts";
import { MessageOutput } from "../program/message_output.ts";
import { checkChannel } from "../program/operand_name.ts";
import { Stop } from "../program/stop.ts";

/** The command. */
export const recv: Command = {
  name: "recv",
  summary: "Print what is sent to a named channel",
  details: [
    "Makes the channel if there is none, and is its one receiver until it ends. Senders come and go, and a named channel",
    "does not tell when the last one has gone: it ends by --count, by --timeout, by Ctrl-C, or when nobody reads its",
    "output any more. The channel's files are removed then, unless a sender uses it or messages are left in it.",
    "",
    "Each message is a line: text as it is, any other value as JSON. With --json also text is JSON; what JSON lacks is an",
    'object such as {"$bigint": "12"} or {"$bytes": "AQI="}. With --raw the messages are bytes, written one after',
    "another with nothing in between. A message that cannot be decoded is reported, and makes the exit code 1.",
  ].join("\n"),
  operands: ["PATH"],
  flags: {
    ...formatFlags("Print each message as a line of JSON", "Write messages of bytes as they are"),
    "zero-copy": { help: "Read messages where they lie in shared memory, without a copy" },
    count: { help: "End after so many messages", short: "n", value: "N" },
    timeout: { help: "End when no message has come for so long; a failure if --count asks for more", value: "MS" },
    ...CHANNEL_FLAGS,
  },
  examples: [
    [`isthmus recv ${SHARED_FOLDER}/jobs`, "print messages until Ctrl-C"],
    [`isthmus recv ${SHARED_FOLDER}/jobs --json | jq .id`, "for programs"],
    [`isthmus recv ${SHARED_FOLDER}/jobs --timeout=0`, "what is there now"],
    [`isthmus recv ${SHARED_FOLDER}/file --raw --zero-copy --timeout=5000 >copy`, "bytes, until none come"],
  ],
  async run(call): Promise<number> {
    const format = formatOf(call);
    const count = integerOf(call, "count", { least: 1 }) ?? Infinity;
    const options = { timeout: millisecondsOf(call, "timeout") ?? Infinity };
    const path = checkChannel(call.operands[0]!), named = channelOptionsOf(call);
    using stop = new Stop();
    using receiver = format === "raw" ? IpcBytesReceiver.create(path, named) : IpcReceiver.create<unknown>(path, named);
    using output = new MessageOutput(stop);
    const written = writerOf(format, call.out);
    const wait = { ...options, signal: stop.signal };
    const next = call.flags["zero-copy"] === undefined
      ? async () => await output.write(written(await receiver.recv(wait)))
      : async () => {
        using message = await receiver.borrow(wait);
        await output.write(written(message.value));
      };
    return await follow(count, () => {
      output.check();
      return next();
    });
  },
};
