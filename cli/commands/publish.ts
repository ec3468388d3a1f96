// `isthmus publish`: publishes what it reads, or what it is given, to a topic.
import { IpcBytesPublisher, IpcPublisher } from "../../channel/mod.ts";
import { MAX_TOPIC_CAPACITY } from "../../channel/inspect.ts";
import { integerOf } from "../program/arguments.ts";
import { CHANNEL_FLAGS, channelOptionsOf } from "../program/channel_options.ts";
import type { Command } from "../program/command.ts";
import { formatFlags, formatOf } from "../program/message_format.ts";
import { checkTopic } from "../program/operand_name.ts";
import { PIECE, sendAll, sendInput, valueGiven } from "../program/outgoing_messages.ts";
import { Stop } from "../program/stop.ts";

/** The command. */
export const publish: Command = {
  name: "publish",
  summary: "Publish lines of the standard input, or the values given, to a topic",
  details: [
    "Makes the topic if there is none. Every subscriber sees what is published from its start on. A",
    "publisher does not wait for subscribers: one that is too slow misses messages. The topic is removed when its last",
    "publisher and subscriber have ended.",
    "",
    'NAME is a name, or, with a slash, the path of the topic\'s file. Lines and values are as for "isthmus send": a text',
    "each; with --json the value that the JSON stands for; with --raw the input is published as messages of bytes, as it",
    `is read, at most ${PIECE} bytes each. A VALUE is JSON, or a text that is not JSON and does not begin as JSON does.`,
  ].join("\n"),
  operands: ["NAME", "[VALUE...]"],
  flags: {
    ...formatFlags("Each line, or value, is JSON", "Publish bytes as they are"),
    capacity: { help: "Bytes of messages that a new topic keeps, 4 MiB by default", value: "BYTES" },
    mode: {
      help:
        "Permission bits of a new topic, 600 by default: who may read it may subscribe, who may write it may publish",
      value: "OCTAL",
    },
    trust: CHANNEL_FLAGS.trust,
  },
  examples: [
    [`isthmus publish news '{"id": 1}' hello`, "two messages"],
    ["tail -f log | isthmus publish log --mode=644", "lines as they come, for every user of the machine"],
    ["isthmus publish frames --raw <video", "bytes"],
  ],
  async run(call): Promise<number> {
    const [name, ...given] = call.operands as [string, ...string[]];
    const format = formatOf(call);
    checkTopic(name);
    integerOf(call, "capacity", { least: 1, most: MAX_TOPIC_CAPACITY });
    const options = channelOptionsOf(call);
    const values = given.map((text, i) => valueGiven(format, text, i)); // all of them, before any is published
    using stop = new Stop();
    using publisher = format === "raw"
      ? IpcBytesPublisher.open(name, options)
      : IpcPublisher.open<unknown>(name, options);
    // deno-lint-ignore require-await -- what cannot be published is a rejection, as with what is sent
    const put = async (value: unknown) => publisher.publish(value as Uint8Array);
    if (values.length > 0) await sendAll(values, put);
    else await sendInput(format, publisher.capacity, stop, put);
    return 0;
  },
};
