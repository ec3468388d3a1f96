// `isthmus top`: all channels, topics, cells and locks, and how fast they move, again and again.
import { SHARED_FOLDER } from "../../../ffi/inspect.ts";
import { cellDocument, channelDocument, lockDocument, topicDocument } from "../../format/documents.ts";
import type { Output } from "../../format/output.ts";
import { Screen } from "../../format/screen.ts";
import { integerOf, millisecondsOf } from "../../program/arguments.ts";
import { type Call, type Command, UsageError } from "../../program/command.ts";
import { inventory } from "../../program/inventory.ts";
import { MessageOutput } from "../../program/message_output.ts";
import { pause } from "../../program/pause.ts";
import { Interrupted, Stop } from "../../program/stop.ts";
import { Activities, type Activity, type Followed } from "./activity.ts";
import { Meters } from "./meters.ts";
import { Keys } from "./keys.ts";
import { next, type Order, ORDERS, pageLines } from "./page.ts";

/** Milliseconds between two looks: by default, and at least. */
const DEFAULT_INTERVAL = 1000, MIN_INTERVAL = 50;

/** The command. */
export const top: Command = {
  name: "top",
  summary: "Follow all channels, topics, cells and locks: rates, backlog, holders",
  details: [
    "On a terminal a page is drawn again every second: q ends it, s changes the order, and the space bar makes it stand",
    "still. Into a pipe go the lines of a page a second, or with --json one document a line.",
    "",
    "PER SEC counts messages of a channel or topic, and changes of a cell. A channel does not count its messages, so what",
    'stands behind "~" follows from the bytes sent and the mean size of those that were seen to wait; it is empty while',
    "none was. BYTES/S is that of channels, in blocks of 64, an estimate by looks every 20 ms. BACKLOG is what no receiver has taken, and how full",
    "the channel is; WAITING who waits: the receiver for a message, or so many for a lock. TREND shows the last looks.",
    "",
    `What is found is what "isthmus ls" finds, also in ${SHARED_FOLDER}. Nothing is attached to, locked or received.`,
  ].join("\n"),
  operands: ["[PATH...]"],
  flags: {
    json: { help: "Print one JSON document a line" },
    interval: { help: `Look this often, ${DEFAULT_INTERVAL} by default`, value: "MS" },
    count: { help: "End after so many looks", short: "n", value: "COUNT" },
    sort: { help: `Order by ${ORDERS.join(", ")}`, value: "ORDER" },
  },
  examples: [
    ["isthmus top", "what moves on this machine"],
    ["isthmus top --sort=backlog /run/user/1000", "the fullest first, with the channels in that folder"],
    ["isthmus top --json | jq '.channels[] | select(.messages > 1000).path'", "channels whose receiver is too slow"],
  ],
  async run(call): Promise<number> {
    const options = optionsOf(call);
    inventory(call.operands, "follow"); // says so now if one is not there
    using stop = new Stop();
    using _output = new MessageOutput(stop); // ends it when nobody reads any more, also while nothing changes
    if (call.out.terminal && !options.json) await onTerminal(call, options, stop);
    else await intoPipe(call, options, stop);
    return 0;
  },
};

interface Options {
  readonly json: boolean;
  readonly interval: number;
  readonly count: number;
  readonly order: Order;
}

function optionsOf(call: Call): Options {
  const interval = millisecondsOf(call, "interval") ?? DEFAULT_INTERVAL;
  if (interval < MIN_INTERVAL) throw new UsageError(`"--interval" is ${MIN_INTERVAL} at least, and not ${interval}`);
  const order = call.flags["sort"] ?? "name";
  if (!ORDERS.some((known) => known === order)) {
    throw new UsageError(`"--sort" takes ${ORDERS.join(", ")}, and not "${order}"`);
  }
  return {
    json: call.flags["json"] !== undefined,
    interval,
    count: integerOf(call, "count", { least: 1 }) ?? Infinity,
    order: order as Order,
  };
}

/** What is there now, and what it has done since the look before. */
function look(call: Call, meters: Meters, activities: Activities): Followed[] {
  const found = inventory(call.operands);
  return activities.look(found, meters.take(found.channels.map(({ path }) => path)), performance.now());
}

// --- On a terminal -------------------------------------------------------------------------------------------------

async function onTerminal(call: Call, options: Options, stop: Stop): Promise<void> {
  const { out } = call;
  using screen = new Screen(out);
  using keys = new Keys(stop, screen);
  using meters = new Meters();
  const activities = new Activities();
  let order = options.order, paused = false, followed: Followed[] = [];
  const page = (keysRead: boolean) =>
    pageLines(followed, { time: timeOfDay(), interval: options.interval, order, paused, keys: keysRead }, out);
  const draw = () => screen.draw(page(keys.read));
  keys.listen({
    s: () => order = next(order),
    " ": () => paused = !paused,
    q: () => stop.now(new Interrupted("Ended by a key")),
  }, draw);
  for (let looks = 0; looks < options.count && !stop.signal.aborted;) {
    if (!paused) {
      followed = look(call, meters, activities);
      looks++;
    }
    draw();
    if (looks < options.count) await pause(options.interval, stop.signal);
  }
  if (options.count === Infinity) return;
  screen.leave(); // what was to be seen so many times stays where it can be read
  for (const line of page(false)) out.line(line);
}

function timeOfDay(): string {
  return new Date().toTimeString().slice(0, 8);
}

// --- Into a pipe ---------------------------------------------------------------------------------------------------

async function intoPipe(call: Call, options: Options, stop: Stop): Promise<void> {
  using meters = new Meters();
  const activities = new Activities();
  for (let looks = 0; looks < options.count && !stop.signal.aborted; looks++) {
    if (looks > 0) await pause(options.interval, stop.signal);
    if (stop.signal.aborted) break;
    const followed = look(call, meters, activities);
    if (options.json) call.out.line(JSON.stringify(documentOf(followed)));
    else writePage(followed, options, call.out);
  }
}

function writePage(followed: readonly Followed[], { interval, order }: Options, out: Output): void {
  for (const line of pageLines(followed, { time: timeOfDay(), interval, order, paused: false, keys: false }, out)) {
    out.line(line.trimEnd());
  }
  out.line();
}

function documentOf(followed: readonly Followed[]): Record<string, unknown> {
  const all: Record<"channels" | "topics" | "cells" | "locks", unknown[]> = {
    channels: [],
    topics: [],
    cells: [],
    locks: [],
  };
  for (const one of followed) {
    switch (one.kind) {
      case "channel": {
        const { receiverWaits } = one.info, { sent, received, rate } = one.activity;
        all.channels.push({
          ...channelDocument(one.info),
          receiverWaits,
          bytesPerSecond: { sent: rounded(sent), received: rounded(received) },
          messagesPerSecond: rounded(rate),
        });
        break;
      }
      case "topic":
        all.topics.push({ ...topicDocument(one.info), messagesPerSecond: rateOf(one.activity) });
        break;
      case "cell":
        all.cells.push({ ...cellDocument(one.info), changesPerSecond: rateOf(one.activity) });
        break;
      case "lock":
        all.locks.push(lockDocument(one.info));
    }
  }
  return { time: new Date().toISOString(), ...all };
}

function rateOf({ rate }: Activity): number | null {
  return rounded(rate);
}

/** With a digit behind the point; `null` where it is not known. */
function rounded(rate: number | undefined): number | null {
  return rate === undefined ? null : Math.round(rate * 10) / 10;
}
