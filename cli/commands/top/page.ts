// The page that `isthmus top` draws: a line for each channel, topic, cell and lock, as wide as the terminal.
import { BLOCK } from "../../../channel/inspect.ts";
import { holdersText } from "../../format/holders.ts";
import type { Color, Output } from "../../format/output.ts";
import { sparkline } from "../../format/sparkline.ts";
import { bytesText, cut, cutStart, printable, shortNumber, width } from "../../format/text.ts";
import { type Followed, HISTORY } from "./activity.ts";

/** What the lines are ordered by. */
export const ORDERS = ["name", "rate", "backlog"] as const;

/** One of {@linkcode ORDERS}. */
export type Order = typeof ORDERS[number];

/** A line, column by column. */
interface Row {
  readonly cells: Readonly<Record<Title, string>>;
  readonly history: readonly number[];
  /** How full it is, from 0 to 1. */
  readonly fill: number;
  readonly color: Color | undefined;
}

type Title = "KIND" | "NAME" | "PER SEC" | "BYTES/S" | "BACKLOG" | "WAITING" | "TREND" | "HELD BY";

/** The columns of a page, by the columns that a terminal must have at least for them. */
const COLUMNS: readonly (readonly [least: number, titles: readonly Title[]])[] = [
  [100, ["KIND", "NAME", "PER SEC", "BYTES/S", "BACKLOG", "WAITING", "TREND", "HELD BY"]],
  [70, ["KIND", "NAME", "PER SEC", "BACKLOG", "WAITING", "TREND", "HELD BY"]],
  [40, ["NAME", "PER SEC", "BACKLOG", "TREND"]],
  [0, ["NAME", "PER SEC"]],
];

/** Columns where there is no terminal. */
const PIPE = 160;

/** Numbers stand on the right. */
const RIGHT: readonly Title[] = ["PER SEC", "BYTES/S", "BACKLOG"];

/** How wide those are that do not share what is left. */
const FIXED: Readonly<Partial<Record<Title, number>>> = {
  "KIND": 7,
  "PER SEC": 7,
  "BYTES/S": 9,
  "BACKLOG": 9,
  "WAITING": 8,
};

const GAP = 2;

/** What the top of the page says. */
export interface Heading {
  /** The time of day. */
  readonly time: string;
  /** Milliseconds between two looks. */
  readonly interval: number;
  readonly order: Order;
  /** Whether the page stands still. */
  readonly paused: boolean;
  /** Whether keys are read. */
  readonly keys: boolean;
}

/** The lines of the page, as many as the terminal shows. */
export function pageLines(followed: readonly Followed[], heading: Heading, out: Output): string[] {
  const columns = out.columns === Infinity ? PIPE : out.columns, rows = Math.max(out.rows, 5);
  const ordered = sorted(followed, heading.order).map(rowOf);
  const room = rows - 4 - (heading.keys ? 1 : 0); // two lines of heading, the titles, and one that may say how many more
  const shown = ordered.length <= room + 1 ? ordered : ordered.slice(0, room);
  const widths = widthsOf(columns, ordered);
  const lines = [
    ...headingLines(followed, heading, columns, out),
    out.paint("dim", joined(widths.map(([title, width]) => fitted(title, title, width)))),
    ...shown.map((row) => rowLine(row, widths, out)),
  ];
  if (ordered.length === 0) lines.push(cut("Nothing is shared at this moment", columns));
  if (shown.length < ordered.length) {
    lines.push(out.paint("dim", cut(`… and ${ordered.length - shown.length} more`, columns)));
  }
  if (!heading.keys) return lines;
  const keys = `q quit   s order by ${next(heading.order)}   space ${heading.paused ? "go on" : "stand still"}`;
  return [...lines, out.paint("dim", cut(keys, columns))];
}

/** The order that follows another. */
export function next(order: Order): Order {
  return ORDERS[(ORDERS.indexOf(order) + 1) % ORDERS.length]!;
}

function headingLines(followed: readonly Followed[], heading: Heading, columns: number, out: Output): string[] {
  const count = (kind: Followed["kind"]) => followed.filter((one) => one.kind === kind).length;
  const what = `${plural(count("channel"), "channel")}, ${plural(count("topic"), "topic")}, ` +
    `${plural(count("cell"), "cell")}, ${plural(count("lock"), "lock")}`;
  const when = heading.paused ? "stands still" : `${heading.time}, every ${heading.interval / 1000} s`;
  let rate = 0, bytes = 0, backlog = 0;
  for (const one of followed) {
    if (one.kind !== "cell") rate += one.activity.rate ?? 0;
    bytes += one.activity.sent ?? 0;
    backlog += one.kind === "channel" ? one.info.messages : 0;
  }
  const title = "isthmus top", space = columns - title.length - 2 - when.length - 2;
  const middle = cut(what, Math.max(0, space));
  const totals = `${shortNumber(rate)} messages/s   ${bytesText(Math.round(bytes))}/s by channels   ` +
    `${shortNumber(backlog)} waiting`;
  const gap = " ".repeat(Math.max(0, space - width(middle)));
  return [
    space < 0 ? cut(title, columns) : `${out.paint("bold", title)}  ${middle}${gap}  ${out.paint("dim", when)}`,
    cut(totals, columns),
  ];
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function sorted(followed: readonly Followed[], order: Order): Followed[] {
  const measure = ({ kind, info, activity }: Followed) =>
    order === "rate" ? activity.history.at(-1) ?? 0 : kind === "channel" ? info.messages : 0;
  // By name they come already, kind by kind; what is equal keeps that order.
  return order === "name" ? [...followed] : followed.toSorted((a, b) => measure(b) - measure(a));
}

function rowOf(followed: Followed): Row {
  const { activity, info, kind } = followed;
  const rate = activity.rate === undefined ? "" : shortNumber(activity.rate);
  const common = { "KIND": kind, "NAME": printable(activity.name), "TREND": "" };
  const part = (
    cells: Pick<Row["cells"], "BACKLOG" | "WAITING" | "HELD BY"> & { readonly "PER SEC"?: string },
    stale: boolean,
    damage: string | undefined,
    fill = 0,
  ): Row => ({
    cells: {
      ...common,
      "PER SEC": rate,
      "BYTES/S": activity.sent === undefined ? "" : bytesText(Math.round(activity.sent)),
      ...cells,
    },
    history: activity.history,
    fill,
    color: damage !== undefined ? "red" : stale ? "dim" : undefined,
  });
  switch (kind) {
    case "channel": {
      const { messages, capacity, positions } = info;
      // How many messages were sent follows from their mean size.
      const sent = rate === "" || rate === "0" ? rate : `~${rate}`;
      const fill = Math.min(1, ((positions.tail - positions.read) | 0) * BLOCK / capacity);
      const backlog = messages === 0 ? "0" : `${shortNumber(messages)} ${Math.round(fill * 100)}%`;
      return part(
        {
          "PER SEC": sent,
          "BACKLOG": backlog,
          "WAITING": info.receiverWaits ? "receiver" : "",
          "HELD BY": holdersText(info.holders),
        },
        !info.attached,
        info.damage,
        fill,
      );
    }
    case "topic":
      return part(
        { "BACKLOG": "", "WAITING": "", "HELD BY": holdersText([...info.publishers, ...info.subscribers]) },
        !info.attached,
        info.damage,
      );
    case "cell":
      return part(
        {
          "BACKLOG": "",
          "WAITING": info.locked && info.waiters ? "for lock" : "",
          "HELD BY": holdersText(info.holders, info.references),
        },
        info.stale,
        info.damage,
      );
    case "lock":
      return part(
        {
          "BACKLOG": "",
          "WAITING": info.pending.length === 0 ? "" : shortNumber(info.pending.length),
          "HELD BY": holdersText(info.held.map(({ pid }) => pid)),
        },
        info.held.length + info.pending.length === 0,
        undefined,
      );
  }
}

/** How wide each column is: what the fixed ones leave is for name, trend and holders. */
function widthsOf(columns: number, rows: readonly Row[]): [Title, number][] {
  const [, titles] = COLUMNS.find(([least]) => columns >= least)!;
  const fixed = titles.reduce((sum, title) => sum + (FIXED[title] ?? 0), (titles.length - 1) * GAP);
  const left = Math.max(1, columns - fixed);
  const needed = Math.max("NAME".length, ...rows.map((row) => width(row.cells.NAME)));
  const trend = titles.includes("TREND") ? Math.min(HISTORY, Math.max(8, Math.floor(left / 4))) : 0;
  const holders = titles.includes("HELD BY");
  const name = Math.min(needed, holders ? Math.floor((left - trend) * 0.6) : left - trend);
  const flexible: Readonly<Partial<Record<Title, number>>> = {
    "NAME": name,
    "TREND": trend,
    "HELD BY": left - trend - name,
  };
  return titles.map((title) => [title, FIXED[title] ?? flexible[title]!]);
}

function rowLine(row: Row, widths: readonly [Title, number][], out: Output): string {
  return joined(widths.map(([title, width]) => {
    if (title === "TREND") {
      const moved = row.history.slice(-width).some((value) => value > 0);
      return out.paint(moved ? "cyan" : "dim", sparkline(row.history, width).padStart(width));
    }
    const text = fitted(title, row.cells[title], width);
    const color = title === "BACKLOG" ? fullness(row.fill) ?? row.color : row.color;
    return color === undefined ? text : out.paint(color, text);
  }));
}

/** A channel that fills up is worth a look. */
function fullness(fill: number): Color | undefined {
  return fill >= 0.9 ? "red" : fill >= 0.5 ? "yellow" : undefined;
}

function fitted(title: Title, text: string, columns: number): string {
  const short = title === "NAME" ? cutStart(text, columns) : cut(text, columns);
  const padding = " ".repeat(Math.max(0, columns - width(short)));
  return RIGHT.includes(title) ? padding + short : short + padding;
}

function joined(parts: readonly string[]): string {
  return parts.join(" ".repeat(GAP));
}
