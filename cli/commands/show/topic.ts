// What `isthmus show` shows of a topic, and of a lock.
import type { LockState } from "../../../arc/inspect/mod.ts";
import { DECODED_LIMIT } from "../../../arc/inspect/mod.ts";
import { type KeptMessage, type TopicInfo, TopicPeek } from "../../../channel/inspect.ts";
import { lockDocument, topicDocument } from "../../format/documents.ts";
import { writeFields } from "../../format/fields.ts";
import { processesText, stateText } from "../../format/holders.ts";
import type { Output } from "../../format/output.ts";
import { bytesText, counted, printable } from "../../format/text.ts";
import type { Call } from "../../program/command.ts";
import { noChannel } from "../../program/not_there.ts";
import { messageDocument, messageLine, shownMessage } from "../../program/shown_message.ts";

/** Shows a topic, with the newest messages that it keeps. */
export function showTopic(path: string, limit: number, { flags, out }: Call): number {
  using topic = TopicPeek.open(path);
  if (topic === undefined) throw noChannel("show", path);
  const info = topic.info();
  const kept = topic.messages(info.kept + 1).slice(-limit || Infinity);
  let budget = DECODED_LIMIT;
  const shown = kept.flatMap((message: KeptMessage) => {
    const bytes = message.length > budget ? undefined : topic.read(message);
    if (bytes === undefined) return []; // overwritten meanwhile, or too much to look at
    budget -= bytes.length;
    return [{ message, found: shownMessage(bytes, flags["bytes"] !== undefined) }];
  });
  if (flags["json"]) {
    out.json({
      ...topicDocument(info),
      messages: shown.map(({ message: { number, length }, found }) => ({ number, length, ...messageDocument(found) })),
    });
    return 0;
  }
  describeTopic(info, out);
  for (const { message, found } of shown) out.line(messageLine(message.number, message.length, found, out));
  return 0;
}

function describeTopic(info: TopicInfo, out: Output): void {
  const [state, color] = stateText(!info.attached, info.damage);
  writeFields(out, [
    ["topic", `${out.paint("bold", printable(info.name))}, ${out.paint(color, state)}`],
    ["damage", info.damage],
    ["file", printable(info.path)],
    ["memory", bytesText(info.size)],
    ["published", `${counted(info.published, "message")}, of which ${info.kept.toLocaleString("en")} are kept`],
    ["published by", processesText(info.publishers) || "nobody"],
    ["subscribed by", processesText(info.subscribers) || "nobody"],
  ]);
  if (info.kept > 0) out.line();
}

/** Shows a lock. */
export function showLock(lock: LockState, { flags, out }: Call): number {
  if (flags["json"]) {
    out.json(lockDocument(lock));
    return 0;
  }
  const who = (list: LockState["held"]) => list.map(({ mode, pid }) => `${processesText([pid])} (${mode})`).join(", ");
  writeFields(out, [
    ["lock", out.paint("bold", printable(lock.name))],
    ["held by", who(lock.held) || "nobody"],
    ["waited for by", who(lock.pending) || "nobody"],
    ["told next", lock.ownerDied ? "that a holder died" : undefined],
  ]);
  return 0;
}
