// `isthmus watch`: the value of a cell, or the backlog of a named channel, whenever it changes.
import { FollowedCell } from "../../arc/inspect/mod.ts";
import { BLOCK, RingPeek } from "../../channel/inspect.ts";
import { isSameFile, SHARED_FOLDER } from "../../ffi/inspect.ts";
import { millisecondsOf } from "../program/arguments.ts";
import { type Call, type Command, UsageError } from "../program/command.ts";
import { jsonOf } from "../format/json_value.ts";
import { LiveText } from "../format/live_text.ts";
import { processDocument } from "../format/documents.ts";
import { processesText } from "../format/holders.ts";
import { MessageOutput } from "../program/message_output.ts";
import type { Output } from "../format/output.ts";
import { checkName, isPath } from "../program/operand_name.ts";
import { pause } from "../program/pause.ts";
import { noChannel } from "../program/not_there.ts";
import { Stop } from "../program/stop.ts";
import { TRUST_FLAG, trustOf } from "../program/trust.ts";
import { bytesText, counted, printable } from "../format/text.ts";
import { dumpLines, valueLine, valueLines } from "../format/value_text.ts";

/** Milliseconds between two looks at a channel: by default, and at least. */
const DEFAULT_INTERVAL = 500, MIN_INTERVAL = 20;

/** The command. */
export const watch: Command = {
  name: "watch",
  summary: "Follow the value of a shared cell, or the backlog of a named channel",
  details: [
    "NAME is the name of a cell, or a path (with a slash) of a channel. On a terminal it is drawn in one place; into a",
    'pipe goes a line for each change: the value as JSON (see "isthmus show --help"), the latest if several came at once.',
    "Ctrl-C ends it, with exit code 0.",
    "",
    "A cell says when it changes. Meanwhile this program is one of its holders: the cell stays until it ends. A channel is",
    `looked at every ${DEFAULT_INTERVAL} ms, from outside; nothing is received. When its file is removed, watching ends.`,
    "What was sent and received counts also what the ring passes over when it turns back early: up to the whole of it.",
  ].join("\n"),
  operands: ["NAME"],
  flags: {
    json: { help: "Print one JSON document a line" },
    interval: { help: "Look at a channel this often", value: "MS" },
    ...TRUST_FLAG,
  },
  examples: [
    ["isthmus watch progress", "the value of a cell"],
    [`isthmus watch ${SHARED_FOLDER}/jobs`, "how full a channel is, and how fast it moves"],
    ["isthmus watch progress | while read -r value; do …; done", "act on every change"],
  ],
  async run(call): Promise<number> {
    const name = checkName(call.operands[0]!);
    using stop = new Stop();
    using _output = new MessageOutput(stop); // ends it when nobody reads any more, also while nothing changes
    if (isPath(name)) await watchChannel(name, call, stop);
    else await watchCell(name, call, stop);
    return 0;
  },
};

/** How a state is shown: in one place, or as lines, each different from the one before. */
class Display {
  readonly #out: Output;
  readonly #live: LiveText | undefined;
  readonly #json: boolean;
  #last: string | undefined;

  constructor({ out, flags }: Call) {
    this.#out = out;
    this.#json = flags["json"] !== undefined;
    this.#live = out.terminal && !this.#json ? new LiveText(out) : undefined;
  }

  /** Shows a state, in the form that is wanted. What has not changed is not shown again. */
  show(forms: { document: () => unknown; line: () => string; block: () => readonly string[] }): void {
    const block = this.#live === undefined
      ? [this.#json ? JSON.stringify(forms.document()) : forms.line()]
      : forms.block();
    const text = block.join("\n");
    if (text === this.#last) return;
    this.#last = text;
    if (this.#live === undefined) this.#out.line(this.#out.terminal ? printable(text) : text);
    else this.#live.draw(block);
  }

  /** Leaves the terminal a line of its own for what comes next, behind the "^C" that it shows. */
  end(): void {
    if (this.#live !== undefined) this.#out.line();
  }
}

// --- Cells ---------------------------------------------------------------------------------------------------------

async function watchCell(name: string, call: Call, stop: Stop): Promise<void> {
  if (call.flags["interval"] !== undefined) {
    throw new UsageError('"--interval" is for channels: a cell says when it changes');
  }
  using cell = FollowedCell.open(name, trustOf(call).trust);
  const display = new Display(call);
  const { out } = call;
  const changes = cell.changes(stop.signal); // before the first look, so that nothing is missed in between
  const show = (value: unknown) =>
    display.show({
      document: () => ({ changes: cell.changeCount, value: jsonOf(value) }),
      line: () => valueLine(value),
      block: () => [
        `${printable(name)}, changed ${counted(cell.changeCount, "time")}`,
        ...(cell.raw ? dumpLines(value as Uint8Array) : valueLines(value, out.columns)),
      ],
    });
  show(cell.read());
  for await (const value of changes) show(value);
  display.end();
}

// --- Channels ------------------------------------------------------------------------------------------------------

async function watchChannel(path: string, call: Call, stop: Stop): Promise<void> {
  const interval = millisecondsOf(call, "interval") ?? DEFAULT_INTERVAL;
  if (interval < MIN_INTERVAL) throw new UsageError(`"--interval" is ${MIN_INTERVAL} at least, and not ${interval}`);
  using ring = RingPeek.open(path);
  if (ring === undefined) throw noChannel("watch", path);
  const display = new Display(call);
  const flow = new Flow(ring);
  while (!stop.signal.aborted && isSameFile(ring.status, path)) {
    flow.look();
    const { messages, unfinished, damage } = ring.backlog();
    const { receiver, senders } = ring.endpoints();
    const waiting = flow.waiting * BLOCK;
    const state = `${counted(messages.length, "message")}, ${bytesText(waiting)} of ${bytesText(ring.capacity)}`;
    const receiving = receiver === undefined ? "nobody" : processesText([receiver]);
    const sending = processesText(senders) || "nobody";
    display.show({
      document: () => ({
        messages: messages.length,
        waiting,
        capacity: ring.capacity,
        unfinished: unfinished * BLOCK,
        sent: flow.sent * BLOCK,
        received: flow.received * BLOCK,
        receiver: processDocument(receiver),
        senders: senders.map(processDocument),
        damage: damage ?? null,
      }),
      line: () =>
        `${state}; ${bytesText(flow.sent * BLOCK)} sent, ${bytesText(flow.received * BLOCK)} received; ` +
        `received by ${receiving}, sent to by ${sending}` + (damage === undefined ? "" : `; damaged: ${damage}`),
      block: () => [
        printable(path),
        `waiting      ${state}`,
        `sent         ${bytesText(flow.sent * BLOCK)}, ${bytesText(flow.sentRate * BLOCK)}/s`,
        `received     ${bytesText(flow.received * BLOCK)}, ${bytesText(flow.receivedRate * BLOCK)}/s`,
        `received by  ${receiving}`,
        `sent to by   ${sending}`,
        ...(damage === undefined ? [] : [`damaged: ${damage}`]),
      ],
    });
    await pause(interval, stop.signal);
  }
  display.end();
}

/** What has moved through a ring since it was first looked at, in blocks. */
class Flow {
  readonly #ring: RingPeek;
  #tail: number;
  #read: number;
  #at = performance.now();
  sent = 0;
  received = 0;
  sentRate = 0;
  receivedRate = 0;
  waiting = 0;

  constructor(ring: RingPeek) {
    this.#ring = ring;
    ({ tail: this.#tail, read: this.#read } = ring.counters());
  }

  look(): void {
    const { tail, read } = this.#ring.counters();
    // Positions wrap around; differences do not. Below 0 is damage.
    const sent = Math.max(0, (tail - this.#tail) | 0), received = Math.max(0, (read - this.#read) | 0);
    const now = performance.now(), seconds = Math.max(now - this.#at, 1) / 1000;
    this.sent += sent;
    this.received += received;
    this.sentRate = Math.round(sent / seconds);
    this.receivedRate = Math.round(received / seconds);
    this.waiting = Math.max(0, (tail - read) | 0);
    this.#tail = tail;
    this.#read = read;
    this.#at = now;
  }
}
