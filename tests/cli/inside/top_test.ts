// `isthmus top`: what a look counts, what the page shows, and the command as a process.
import { assert, assertEquals, assertGreater, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { Activities, type Followed } from "../../../cli/commands/top/activity.ts";
import { next, type Order, ORDERS, pageLines } from "../../../cli/commands/top/page.ts";
import { Output } from "../../../cli/format/output.ts";
import { sparkline } from "../../../cli/format/sparkline.ts";
import { cutStart, shortNumber, width } from "../../../cli/format/text.ts";
import { RingPeek } from "../../../channel/inspect.ts";
import { type Flow, FlowMeter } from "../../../cli/program/flow_meter.ts";
import type { Inventory } from "../../../cli/program/inventory.ts";
import { IpcArc, IpcBytesReceiver, IpcBytesSender, IpcPublisher, IpcReceiver, IpcSender, locks } from "../../../mod.ts";
import { folderTest } from "../../support/folder.ts";
import { isthmus, isthmusArguments, onTerminal, Running, TypedTerminal } from "../../support/isthmus.ts";
import { processTest, test } from "../../support/test.ts";

const CHANNEL = {
  path: "/run/jobs",
  size: 1 << 20,
  capacity: 1 << 19,
  waiting: 0,
  messages: 0,
  positions: { read: 0, tail: 0 },
  receiverWaits: false,
  holders: [],
  receiver: undefined,
  senders: [],
  attached: true,
  damage: undefined,
};

function withChannel(change: Partial<Inventory["channels"][number]>): Inventory {
  return { channels: [{ ...CHANNEL, ...change }], topics: [], cells: [], locks: [] };
}

/** A terminal of so many columns that nobody sees, or a pipe. */
class Terminal extends Output {
  override get columns(): number {
    return this.size[0];
  }

  override get rows(): number {
    return this.size[1];
  }

  constructor(readonly size: readonly [columns: number, rows: number]) {
    super({ writeSync: (bytes: Uint8Array) => bytes.length, isTerminal: () => false });
  }
}

function page(followed: readonly Followed[], size: readonly [number, number], order: Order = "name"): string[] {
  const heading = { time: "10:11:12", interval: 1000, order, paused: false, keys: true };
  return pageLines(followed, heading, new Terminal(size));
}

const NO_FLOWS = new Map<string, Flow>();

function flows(sent: number, received: number): Map<string, Flow> {
  return new Map([[CHANNEL.path, { sent, received }]]);
}

test("Messages a second follow from the blocks that were sent, and from those of the messages that wait", () => {
  const activities = new Activities();
  const [first] = activities.look(withChannel({}), NO_FLOWS, 1000);
  assertEquals([first!.activity.rate, first!.activity.sent, first!.activity.history], [undefined, undefined, []]);
  const [unseen] = activities.look(withChannel({}), flows(9, 9), 1500);
  assertEquals([unseen!.activity.rate, unseen!.activity.sent], [undefined, 9 * 64]); // none was seen to wait
  // Five messages wait in 15 blocks, so three blocks a message; positions wrap around.
  const positions = { read: 2 ** 31 - 5, tail: -(2 ** 31) + 10 };
  const [seen] = activities.look(withChannel({ positions, messages: 5 }), flows(40, 20), 2000);
  assertEquals([seen!.activity.sent, seen!.activity.received], [40 * 64, 20 * 64]);
  assertEquals(seen!.activity.rate, 40 / 3);
  assertEquals(seen!.activity.history, [9 * 64, 40 * 64]);
  assertEquals(activities.look(withChannel({}), flows(0, 0), 2500)[0]!.activity.rate, 0);
  assertEquals(activities.look({ ...withChannel({}), channels: [] }, NO_FLOWS, 3000), []);
  assertEquals(activities.look(withChannel({}), NO_FLOWS, 4000)[0]!.activity.history, []); // it began anew
});

test("What begins anew under the name of a cell counts from there, and counters wrap around", () => {
  const cell = {
    name: "a",
    kind: "cbor" as const,
    layout: "",
    size: 1,
    capacity: 1,
    length: 1,
    waiters: false,
    holders: [],
    locked: false,
    lockedBy: undefined,
    references: 0,
    stale: false,
    damage: undefined,
  };
  const activities = new Activities();
  const rate = (changes: number, now: number) =>
    activities.look({ channels: [], topics: [], cells: [{ ...cell, changes }], locks: [] }, NO_FLOWS, now)[0]!.activity
      .rate;
  assertEquals([rate(100, 0), rate(150, 500), rate(3, 1000), rate(3, 1500)], [undefined, 100, 0, 0]);
});

folderTest("The flow of a channel does not count what its ring passes over when it turns back", async (folder) => {
  using receiver = IpcBytesReceiver.create(folder.channel);
  using sender = IpcBytesSender.open(folder.channel);
  using ring = RingPeek.open(folder.channel)!;
  using meter = FlowMeter.open(folder.channel)!;
  const message = new Uint8Array(60 << 10), first = ring.counters();
  let sent = 0, flowed = 0;
  const until = performance.now() + 500;
  for (let at = performance.now(); at < until;) {
    // Some messages, all of them received: the ring turns back again and again.
    for (let n = 0; n < 4; n++, sent += message.length + 64) sender.sendSync(message), receiver.recvSync();
    receiver.tryRecv(); // it finds the ring empty
    await new Promise((resolve) => setTimeout(resolve, 1));
    const now = performance.now();
    flowed += meter.take()!.sent * 64 * (now - at) / 1000;
    at = now;
  }
  const passed = ((ring.counters().tail - first.tail) | 0) * 64;
  assertGreater(passed, 8 * sent, "the ring turns back all the time");
  assertGreater(flowed, sent / 4);
  assertLess(flowed, 4 * sent);
});

test("The page fits every terminal, whatever names and numbers there are", () => {
  const activities = new Activities();
  const names = ["/a", `/${"long/".repeat(60)}name`, "/漢字/文字", "/\u202e\u001b[31mred"];
  const found: Inventory = {
    channels: names.map((path, i) => ({
      ...CHANNEL,
      path,
      messages: 10 ** i,
      holders: [Deno.pid, Deno.pid, 2 ** 22],
      positions: { read: 0, tail: 5000 * i },
      damage: i === 3 ? "bad" : undefined,
    })),
    topics: [],
    cells: [],
    locks: [{ name: "深い", held: [], pending: [{ name: "深い", mode: "exclusive", pid: 7 }], ownerDied: false }],
  };
  activities.look(found, NO_FLOWS, 0);
  const followed = activities.look(found, new Map([[names[1]!, { sent: 1e6, received: 1e5 }]]), 1000);
  for (const columns of [20, 39, 40, 60, 80, 99, 100, 200, 1000]) {
    for (const rows of [5, 8, 24]) {
      for (const order of ORDERS) {
        const lines = page(followed, [columns, rows], order);
        assert(lines.length <= rows, `${lines.length} lines on ${rows}`);
        for (const line of lines) assert(width(line) <= columns, `${width(line)} on ${columns}: ${line}`);
        assert(!lines.join("").includes("\x1b"), "nothing acts on the terminal");
      }
    }
  }
  assertMatch(page(followed, [80, 24], "backlog")[3]!, /^channel .*red/);
});

test("Numbers are short, trends show the newest on the right, and paths lose their beginning", () => {
  assertEquals([0, 0.04, 9.94, 9.96, 999, 999.6, 1000, 12_345, 999_600, 1_250_000, 3e9].map(shortNumber), [
    "0",
    "0",
    "9.9",
    "10",
    "999",
    "1k",
    "1k",
    "12k",
    "1M",
    "1.3M",
    "3G",
  ]);
  assertEquals(sparkline([5, 0, 1, 4, 8], 4), "▁▂▅█");
  assertEquals([sparkline([], 3), sparkline([0, 0], 3)], ["", "▁▁"]);
  assertEquals([cutStart("/run/jobs", 9), cutStart("/run/jobs", 5), cutStart("/漢字", 4)], [
    "/run/jobs",
    "…jobs",
    "…字",
  ]);
  assertEquals(ORDERS.map(next), ["rate", "backlog", "name"]);
});

folderTest("isthmus top --json prints a document a look, with rates from the second on", async (folder) => {
  const path = folder.channel, name = `top-${crypto.randomUUID()}`;
  using receiver = IpcReceiver.create<number>(path);
  using sender = IpcSender.open<number>(path);
  using cell = IpcArc.create(name, 0);
  using publisher = IpcPublisher.open<number>(name);
  await locks.request(name, async () => {
    await using top = new Running("top", "--json", "--interval=50", path);
    const look = async () => {
      const all = JSON.parse((await top.line())!);
      const named = (one: { name: string }) => one.name === name;
      return {
        channel: all.channels.find((one: { path: string }) => one.path === path),
        cell: all.cells.find(named),
        topic: all.topics.find(named),
        lock: all.locks.find(named),
      };
    };
    const first = await look();
    assertEquals([first.channel.messagesPerSecond, first.cell.changesPerSecond], [null, null]);
    assertEquals(first.lock.held[0].pid, Deno.pid);
    for (let n = 0; n < 3; n++) {
      sender.sendSync(n);
      publisher.publish(n);
      cell.updateSync((value) => value + 1);
    }
    let now = await look();
    const seen = { messages: 0, changes: 0, published: 0, received: 0 };
    const add = () => {
      seen.messages += now.channel.messagesPerSecond;
      seen.changes += now.cell.changesPerSecond;
      seen.published += now.topic.messagesPerSecond;
      seen.received += now.channel.bytesPerSecond.received;
    };
    for (add(); now.channel.messages < 3 || seen.changes === 0 || seen.published === 0; add()) now = await look();
    assertGreater(seen.messages, 0);
    assertEquals(receiver.recvMany(), [0, 1, 2]);
    for (; seen.received === 0; add()) now = await look();
    assertEquals((await top.end("SIGTERM")).code, 0);
  });
});

processTest("isthmus top ends after so many looks, and when nobody reads", async () => {
  const { code, out } = await isthmus("top", "--count=2", "--interval=50");
  assertEquals(code, 0);
  assertEquals(out.match(/^isthmus top /gm)?.length, 2);
  await using top = new Running("top", "--interval=50");
  assertStringIncludes((await top.line())!, "isthmus top");
  await top.stopReading();
  assertEquals((await top.process.status).code, 0);
});

processTest("isthmus top says what is wrong with its arguments", async () => {
  for (
    const [args, code, text] of [
      [["--sort=size"], 2, '"--sort" takes name, rate, backlog'],
      [["--interval=1"], 2, '"--interval" is 50 at least'],
      [["--count=0"], 2, '"--count" takes a whole number, from 1'],
      [["/no/such/folder"], 1, 'Cannot follow "/no/such/folder"'],
    ] as const
  ) {
    const said = await isthmus("top", ...args);
    assertEquals(said.code, code);
    assertStringIncludes(said.err, text);
  }
});

processTest("isthmus top draws on the second screen, and leaves the first as it was", async () => {
  const text = await onTerminal(80, "isthmus top --count=1; echo after");
  if (text === undefined) return;
  const entered = text.indexOf("\x1b[?1049h"), left = text.indexOf("\x1b[?25h\x1b[?1049l");
  assert(entered >= 0 && left > entered && text.indexOf("after") > left, text);
  assertStringIncludes(text.slice(entered, left), "isthmus top");
  assertStringIncludes(text.slice(left), "isthmus top"); // what was looked at once can be read afterwards
});

processTest("isthmus top reads keys: s orders by another column, q ends it and gives the terminal back", async () => {
  const words = [Deno.execPath(), ...isthmusArguments(["top"])].map((word) => `'${word}'`).join(" ");
  await using terminal = await TypedTerminal.run(`stty cols 100 rows 20; ${words}; echo "ended $?"; stty -a`);
  if (terminal === undefined) return;
  await terminal.until("s order by rate");
  await terminal.type("s");
  await terminal.until("s order by backlog");
  await terminal.type(" ");
  await terminal.until("stands still");
  await terminal.type("q");
  await terminal.until("ended 0");
  await terminal.until("echok"); // as `stty -a` names it
  assertMatch(terminal.text, /[^-]icanon/);
  assertMatch(terminal.text, /[^-]echo\b/);
  assertEquals((await terminal.status).code, 0);
});
