// `isthmus show`: one shared cell or named channel, with its header and what is in it.
import {
  type CellHeader,
  type CellInfo,
  cellInfo,
  CellPeek,
  DECODED_LIMIT,
  lockState,
} from "../../../arc/inspect/mod.ts";
import {
  type Backlog,
  describe,
  FORMAT_VERSION,
  type NamedChannelInfo,
  RingPeek,
  topicInfo,
  topicPath,
  type WaitingMessage,
} from "../../../channel/inspect.ts";
import { openFiles, SHARED_FOLDER } from "../../../ffi/inspect.ts";
import { type Call, type Command, Refused, UsageError } from "../../program/command.ts";
import { jsonOf } from "../../format/json_value.ts";
import { cellDocument, channelDocument } from "../../format/documents.ts";
import { writeFields } from "../../format/fields.ts";
import { holdersText, lockedText, processesText, stateText } from "../../format/holders.ts";
import { isExpected, messageDocument, messageLine, type Shown, shownMessage } from "../../program/shown_message.ts";
import { showLock, showTopic } from "./topic.ts";
import { noCell, noChannel } from "../../program/not_there.ts";
import { checkName, isPath } from "../../program/operand_name.ts";
import type { Output } from "../../format/output.ts";
import { bytesText, counted, printable } from "../../format/text.ts";
import { dumpLines, valueLines } from "../../format/value_text.ts";

/** Messages that are shown by default. */
const DEFAULT_LIMIT = 20;

/** The command. */
export const show: Command = {
  name: "show",
  summary: "Show a shared cell, a named channel, a topic or a lock, with what is in it",
  details:
    "NAME is the name of a cell, a topic or a lock, or a path (with a slash) of a channel or a topic; of one name, " +
    "the first of these. Nothing is attached to, locked or received: the messages still arrive where they should. Of a " +
    "channel the oldest messages are shown, of a topic the newest that it keeps.\n\n" +
    'Values are JSON; what JSON lacks is an object with one key: {"$bigint":"12"}, {"$bytes":"AQI="} (base64), ' +
    '{"$date":…}, {"$map":[[key,value]]}, {"$set":[…]}, {"$number":"NaN"}, {"$undefined":true}. What is no ' +
    "CBOR is shown as bytes, and so is a cell whose header does not describe its layout.",
  operands: ["NAME"],
  flags: {
    json: { help: "Print one JSON document" },
    bytes: { help: "Show the bytes, and not what they mean", short: "b" },
    limit: {
      help: `Show so many messages, ${DEFAULT_LIMIT} by default`,
      short: "n",
      value: "COUNT",
    },
  },
  examples: [
    ["isthmus show progress", "the cell of that name"],
    [`isthmus show ${SHARED_FOLDER}/jobs --limit=3`, "the three messages that arrive next"],
    ["isthmus show progress --json | jq .value", "for programs"],
  ],
  run(call): number {
    const name = checkName(call.operands[0]!);
    const limit = countOf(call, "limit") ?? DEFAULT_LIMIT;
    if (isPath(name)) {
      return topicInfo(name) === undefined ? showChannel(name, limit, call) : showTopic(name, limit, call);
    }
    if (cellInfo(name) === undefined) {
      if (topicInfo(topicPath(name)) !== undefined) return showTopic(topicPath(name), limit, call);
      const lock = lockState(name);
      if (lock !== undefined) return showLock(lock, call);
    }
    return showCell(name, call);
  },
};

function countOf({ flags }: Call, name: string): number | undefined {
  const text = flags[name];
  if (text === undefined) return undefined;
  if (text === true || !/^\d{1,9}$/.test(text)) throw new UsageError(`"--${name}" takes a number, and not "${text}"`);
  return Number(text);
}

// --- Cells ---------------------------------------------------------------------------------------------------------

function showCell(name: string, { flags, out }: Call): number {
  using cell = CellPeek.open(name);
  if (cell === undefined) throw noCell("show", name);
  const info = cell.info(), header = cell.header();
  const known = info.kind === "cbor" || cell.layout() !== undefined;
  const raw = flags["bytes"] !== undefined || !known;
  if (!flags["json"]) describeCell(info, header, known, out);
  try {
    const value = raw ? cell.bytes() : cell.value();
    if (flags["json"]) out.json({ ...cellDocument(info), header, value: jsonOf(value), problem: null });
    else for (const line of raw ? dumpLines(value as Uint8Array) : valueLines(value, out.columns)) out.line(line);
    return 0;
  } catch (error) {
    if (!flags["json"] || !isExpected(error)) throw error;
    out.json({ ...cellDocument(info), header, value: null, problem: error.message });
    return 1;
  }
}

function describeCell(info: CellInfo, header: CellHeader, known: boolean, out: Output): void {
  const [state, color] = stateText(info.stale, info.damage);
  const changes = header.changeCounter >>> 1;
  writeFields(out, [
    ["cell", `${out.paint("bold", printable(info.name))}, ${out.paint(color, state)}`],
    ["damage", info.damage],
    [
      "kind",
      info.kind === "cbor" ? "CBOR" : `POD ${info.layout === "" ? "of an unknown layout" : printable(info.layout)}`,
    ],
    ["layout", known || info.layout === "" ? undefined : "does not fit the fingerprint: shown as bytes"],
    ["fingerprint", info.kind === "cbor" ? undefined : header.fingerprint],
    ["format", String(header.version)],
    ["memory", bytesText(info.size)],
    ["value", `${counted(info.length, "byte")}, at most ${info.capacity.toLocaleString("en")}`],
    ["changed", `${counted(changes, "time")}${(header.changeCounter & 1) === 1 ? ", and being written" : ""}`],
    ["held by", holdersText(info.holders, info.references) || "nobody"],
    ["locked by", info.locked ? lockedText(info) : "nobody"],
  ]);
  out.line();
}

// --- Channels ------------------------------------------------------------------------------------------------------

function showChannel(path: string, limit: number, { flags, out }: Call): number {
  using ring = RingPeek.open(path);
  if (ring === undefined) throw noChannel("show", path);
  const info = describe(path, ring, openFiles());
  const backlog = ring.backlog();
  const budget = { left: DECODED_LIMIT };
  const shown: [number, Shown][] = [];
  for (const message of backlog.messages) {
    if (shown.length >= limit) break;
    const found = lookAt(ring, message, flags["bytes"] !== undefined, budget);
    if (found !== undefined) shown.push([message.length, found]); // else it was received meanwhile
  }
  const omitted = Math.max(0, backlog.messages.length - limit);
  if (flags["json"]) {
    const { head, read, tail } = ring.counters();
    out.json({
      ...channelDocument(info),
      header: { format: FORMAT_VERSION, cells: ring.blocks, head: head >>> 0, read: read >>> 0, tail: tail >>> 0 },
      closed: ring.closed,
      unfinished: backlog.unfinished,
      backlog: shown.map(([length, found]) => ({ length, ...messageDocument(found) })),
      omitted,
    });
  } else {
    describeChannel(info, ring, backlog, out);
    for (const [i, [length, found]] of shown.entries()) out.line(messageLine(i + 1, length, found, out));
    if (omitted > 0) {
      out.line(`… and ${counted(omitted, "more message")}; --limit=${backlog.messages.length} shows all`);
    }
  }
  if (backlog.damage !== undefined) throw new Refused(`The channel "${path}" is damaged: ${backlog.damage}`);
  return 0;
}

/** `undefined` if it was received meanwhile. */
function lookAt(ring: RingPeek, message: WaitingMessage, raw: boolean, budget: { left: number }): Shown | undefined {
  if (message.length > budget.left) {
    return { bytes: new Uint8Array(0), problem: `not looked at: more than ${bytesText(DECODED_LIMIT)} in all` };
  }
  const bytes = ring.read(message);
  if (bytes === undefined) return undefined;
  budget.left -= bytes.length;
  return shownMessage(bytes, raw);
}

function describeChannel(info: NamedChannelInfo, ring: RingPeek, backlog: Backlog, out: Output): void {
  const [state, color] = stateText(!info.attached, backlog.damage);
  const { receiverWaits } = ring.counters();
  const receiver = info.receiver === undefined
    ? "nobody"
    : `${processesText([info.receiver])}${receiverWaits ? ", which waits for a message" : ""}`;
  writeFields(out, [
    ["channel", `${out.paint("bold", printable(info.path))}, ${out.paint(color, state)}`],
    ["damage", backlog.damage],
    ["memory", bytesText(info.size)],
    [
      "waiting",
      `${counted(backlog.messages.length, "message")}, ${bytesText(info.waiting)} of ${bytesText(info.capacity)}`,
    ],
    ["unfinished", backlog.unfinished === 0 ? undefined : `${bytesText(backlog.unfinished * 64)}, claimed by senders`],
    ["received by", receiver],
    ["sent to by", processesText(info.senders) || "nobody"],
    ["held by", holdersText(info.holders) || "nobody"],
  ]);
  if (backlog.messages.length > 0) out.line();
}
