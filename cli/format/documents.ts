// What is known of cells, channels and processes, for JSON.
import type { CellInfo, LockState } from "../../arc/inspect/mod.ts";
import type { NamedChannelInfo, TopicInfo } from "../../channel/inspect.ts";
import { processName } from "../../ffi/inspect.ts";
import { timesOf } from "./holders.ts";

/** A process, for JSON. */
export interface ProcessDocument {
  readonly pid: number;
  /** What it is called, if that can be seen. */
  readonly name: string | null;
}

/** A process for JSON; `null` for none. */
export function processDocument(pid: number | undefined): ProcessDocument | null {
  return pid === undefined ? null : { pid, name: processName(pid) ?? null };
}

/** What is known of a cell, for JSON. */
export function cellDocument(cell: CellInfo): Record<string, unknown> {
  return {
    name: cell.name,
    kind: cell.kind,
    layout: cell.layout === "" ? null : cell.layout,
    size: cell.size,
    capacity: cell.capacity,
    length: cell.length,
    references: cell.references,
    holders: holdersDocument(cell.holders),
    lockedBy: cell.locked && cell.lockedBy === undefined ? { pid: null, name: null } : processDocument(cell.lockedBy),
    stale: cell.stale,
    damage: cell.damage ?? null,
  };
}

/** What is known of a channel, for JSON. */
export function channelDocument(channel: NamedChannelInfo): Record<string, unknown> {
  return {
    path: channel.path,
    size: channel.size,
    capacity: channel.capacity,
    messages: channel.messages,
    waiting: channel.waiting,
    holders: holdersDocument(channel.holders),
    receiver: processDocument(channel.receiver),
    senders: holdersDocument(channel.senders),
    stale: !channel.attached,
    damage: channel.damage ?? null,
  };
}

/** What is known of a topic, for JSON. */
export function topicDocument(topic: TopicInfo): Record<string, unknown> {
  return {
    name: topic.name,
    path: topic.path,
    size: topic.size,
    capacity: topic.capacity,
    published: topic.published,
    kept: topic.kept,
    publishers: holdersDocument(topic.publishers),
    subscribers: holdersDocument(topic.subscribers),
    stale: !topic.attached,
    damage: topic.damage ?? null,
  };
}

/** What is known of a lock, for JSON. */
export function lockDocument({ name, held, pending, ownerDied }: LockState): Record<string, unknown> {
  const who = (list: LockState["held"]) => list.map(({ mode, pid }) => ({ mode, ...processDocument(pid)! }));
  return { name, held: who(held), pending: who(pending), ownerDied };
}

function holdersDocument(pids: readonly number[]): (ProcessDocument & { times: number })[] {
  return [...timesOf(pids)].map(([pid, times]) => ({ ...processDocument(pid)!, times }));
}
