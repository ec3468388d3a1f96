// `isthmus subscribe`: prints what is published to a topic.
import { IpcBytesSubscriber, IpcSubscriber } from "../../channel/mod.ts";
import { integerOf, millisecondsOf } from "../program/arguments.ts";
import { CHANNEL_FLAGS, channelOptionsOf } from "../program/channel_options.ts";
import type { Command } from "../program/command.ts";
import { counted } from "../format/text.ts";
import { follow, tell, writerOf } from "../program/incoming_messages.ts";
import { formatFlags, formatOf } from "../program/message_format.ts";
import { MessageOutput } from "../program/message_output.ts";
import { checkTopic } from "../program/operand_name.ts";
import { Stop } from "../program/stop.ts";

/** The command. */
export const subscribe: Command = {
  name: "subscribe",
  summary: "Print what is published to a topic",
  details: [
    "NAME is a name, or, with a slash, the path of the topic's file, which need only be readable. Waits for a topic that",
    "no publisher has made yet. Takes nothing away from other subscribers. Publishers come and go, so it ends by --count, by --timeout, by Ctrl-C, or when nobody reads its",
    "output any more. Messages that were overwritten before they could be printed are reported on the standard error.",
    "",
    "Each message is a line: text as it is, any other value as JSON; with --json also text is JSON. With --raw the",
    "messages are bytes, written one after another with nothing in between.",
  ].join("\n"),
  operands: ["NAME"],
  flags: {
    ...formatFlags("Print each message as a line of JSON", "Write messages of bytes as they are"),
    oldest: { help: "Begin with the oldest message that is still there, not with the next one" },
    count: { help: "End after so many messages", short: "n", value: "N" },
    timeout: { help: "End when no message has come for so long; a failure if --count asks for more", value: "MS" },
    mode: {
      help: "Who may publish, as permission bits: a topic that others may write to is refused without",
      value: "OCTAL",
    },
    trust: CHANNEL_FLAGS.trust,
  },
  examples: [
    ["isthmus subscribe news", "print messages until Ctrl-C"],
    ["isthmus subscribe news --oldest --timeout=0", "what is there now"],
    ["isthmus subscribe /dev/shm/log --trust=ann | grep error", "another user's, whose file may be read"],
  ],
  async run(call): Promise<number> {
    const format = formatOf(call);
    const count = integerOf(call, "count", { least: 1 }) ?? Infinity;
    const timeout = millisecondsOf(call, "timeout") ?? Infinity;
    const name = checkTopic(call.operands[0]!);
    const from = call.flags["oldest"] === undefined ? "new" : "oldest";
    const options = { ...channelOptionsOf(call), from } as const;
    using stop = new Stop();
    using subscriber = format === "raw"
      ? IpcBytesSubscriber.open(name, options)
      : IpcSubscriber.open<unknown>(name, options);
    using output = new MessageOutput(stop);
    const written = writerOf(format, call.out);
    let told = 0;
    return await follow(count, async () => {
      output.check();
      const message = await subscriber.recv({ timeout, signal: stop.signal });
      const { missed } = subscriber;
      if (missed > told) tell(`${counted(missed - told, "message")} missed: overwritten before it could be printed`);
      told = missed;
      await output.write(written(message));
    });
  },
};
