// How fast everything moves: two looks, and what has changed between them.
import type { CellInfo, LockState } from "../../../arc/inspect/mod.ts";
import { BLOCK, type NamedChannelInfo, type TopicInfo } from "../../../channel/inspect.ts";
import type { Flow } from "../../program/flow_meter.ts";
import type { Inventory } from "../../program/inventory.ts";

/** Rates that are remembered of each, for its trend. */
export const HISTORY = 200;

/** What one thing has done since the look before. */
export interface Activity {
  readonly kind: "channel" | "topic" | "cell" | "lock";
  /** Its path, or its name. */
  readonly name: string;
  /**
   * Messages that were sent a second, or changes of a cell; `undefined` if that cannot be told: at the first look, of a
   * lock, and of a channel in which no message was ever seen to wait.
   */
  readonly rate: number | undefined;
  /** Bytes that were sent a second, in whole blocks; `undefined` for all but channels, and at the first look. */
  readonly sent: number | undefined;
  /** The same of those received. */
  readonly received: number | undefined;
  /** What the trend shows, a look each, newest last: the rate, or for a channel the bytes sent. */
  readonly history: readonly number[];
}

/** A cell and what it has done, and so on. */
export type Followed =
  | { readonly kind: "channel"; readonly info: NamedChannelInfo; readonly activity: Activity }
  | { readonly kind: "topic"; readonly info: TopicInfo; readonly activity: Activity }
  | { readonly kind: "cell"; readonly info: CellInfo; readonly activity: Activity }
  | { readonly kind: "lock"; readonly info: LockState; readonly activity: Activity };

/** What is remembered from look to look. */
interface Memory {
  /** Counters of the look before: they wrap around, their differences do not. */
  counters: readonly number[];
  history: number[];
  /** Of a channel: blocks a message, as seen in those that waited. */
  blocksAMessage: number | undefined;
}

/** Weight of what was seen last in the mean of blocks a message. */
const NEWEST = 0.2;

/** Follows everything from look to look. */
export class Activities {
  #memory = new Map<string, Memory>();
  #at: number | undefined;

  /**
   * Compares with the look before.
   *
   * @param found What is there now.
   * @param flows What channels have moved since the look before, by path, as far as it was measured.
   * @param now Milliseconds, of a clock that goes on.
   */
  look(found: Inventory, flows: ReadonlyMap<string, Flow | undefined>, now: number): Followed[] {
    const seconds = this.#at === undefined ? undefined : Math.max(now - this.#at, 1) / 1000;
    this.#at = now;
    const before = this.#memory;
    this.#memory = new Map(); // what is gone is forgotten
    const recall = (kind: Activity["kind"], name: string, counters: readonly number[]) => {
      const key = `${kind} ${name}`;
      const old = before.get(key);
      const memory = { counters, history: old?.history ?? [], blocksAMessage: old?.blocksAMessage };
      this.#memory.set(key, memory);
      const rates = seconds === undefined || old === undefined
        ? undefined
        : counters.map((count, i) => perSecond(count, old.counters[i]!, seconds));
      return { memory, rates };
    };
    return [
      ...found.channels.map((info) => {
        const { memory } = recall("channel", info.path, []);
        return { kind: "channel", info, activity: channelActivity(info, memory, flows.get(info.path)) } as const;
      }),
      ...found.topics.map((info) => {
        const { memory, rates } = recall("topic", info.path, [info.published]);
        return { kind: "topic", info, activity: countedActivity("topic", info.name, memory, rates?.[0]) } as const;
      }),
      ...found.cells.map((info) => {
        const { memory, rates } = recall("cell", info.name, [info.changes]);
        return { kind: "cell", info, activity: countedActivity("cell", info.name, memory, rates?.[0]) } as const;
      }),
      ...found.locks.map((info) => {
        const { memory } = recall("lock", info.name, []);
        return { kind: "lock", info, activity: countedActivity("lock", info.name, memory, undefined) } as const;
      }),
    ];
  }
}

/** Below 0 it is another one of the same name, which began anew. */
function perSecond(now: number, before: number, seconds: number): number {
  return Math.max(0, (now - before) | 0) / seconds;
}

function channelActivity(
  info: NamedChannelInfo,
  memory: Memory,
  flow: Flow | undefined,
): Activity {
  const { read, tail } = info.positions;
  const waiting = (tail - read) | 0;
  if (info.messages > 0 && waiting > 0) {
    const seen = Math.max(1, waiting / info.messages);
    const mean = memory.blocksAMessage;
    memory.blocksAMessage = mean === undefined ? seen : mean + (seen - mean) * NEWEST;
  }
  const { sent, received } = flow ?? {};
  if (sent !== undefined) remember(memory, sent * BLOCK);
  return {
    kind: "channel",
    name: info.path,
    rate: sent === undefined ? undefined : sent === 0 ? 0 : memory.blocksAMessage && sent / memory.blocksAMessage,
    sent: sent === undefined ? undefined : sent * BLOCK,
    received: received === undefined ? undefined : received * BLOCK,
    history: memory.history,
  };
}

function countedActivity(
  kind: Activity["kind"],
  name: string,
  memory: Memory,
  rate: number | undefined,
): Activity {
  if (rate !== undefined) remember(memory, rate);
  return { kind, name, rate, sent: undefined, received: undefined, history: memory.history };
}

function remember({ history }: Memory, value: number): void {
  history.push(value);
  if (history.length > HISTORY) history.shift();
}
