// Finds the named channels of a folder, or of running processes, and what is known of them without attaching.
import { tryOpenFile } from "../../ffi/file/open.ts";
import { listDirectory } from "../../ffi/file/directory.ts";
import { tryLockFile } from "../../ffi/file/file_lock.ts";
import { lockHolders } from "../../ffi/file/lock_holders.ts";
import { openedBy, type OpenFiles, openFiles } from "../../ffi/file/open_files.ts";
import { BLOCK } from "../ring/layout.ts";
import { RingPeek } from "./peek.ts";

/** A named channel, as its file tells. */
export interface NamedChannelInfo {
  /** Where it is. */
  readonly path: string;
  /** Bytes of its file. */
  readonly size: number;
  /** Bytes that it can hold. */
  readonly capacity: number;
  /** Bytes in it that no receiver has taken, rounded up to whole blocks. */
  readonly waiting: number;
  /** Messages in it that no receiver has taken. */
  readonly messages: number;
  /** First position that was not received, and first that nobody has claimed: in blocks, modulo 2^32. */
  readonly positions: { readonly read: number; readonly tail: number };
  /** Whether the receiver waits for a message at this moment. */
  readonly receiverWaits: boolean;
  /** Ids of the processes that are attached to it, as far as this user may see them; twice if attached twice. */
  readonly holders: readonly number[];
  /** Id of the process that receives, if one does. */
  readonly receiver: number | undefined;
  /** Ids of the processes that have sent, and may go on; one that sends from two threads is there twice. */
  readonly senders: readonly number[];
  /** Whether a living process is attached to it. */
  readonly attached: boolean;
  /** What breaks the rules in it, if anything. */
  readonly damage: string | undefined;
}

const BELL = ".bell";

/** The named channels in a folder that this user may open. */
export function listNamedChannels(folder: string, opened: OpenFiles = openFiles()): NamedChannelInfo[] {
  const found: NamedChannelInfo[] = [];
  const names = new Set(listDirectory(folder));
  for (const name of names) {
    // The bell beside it tells a channel from all other files before anything is opened.
    if (!names.has(name + BELL)) continue;
    const info = namedChannelInfo(`${folder.replace(/\/+$/, "")}/${name}`, opened);
    if (info !== undefined) found.push(info);
  }
  return found;
}

/** The named channels, wherever they are, that processes have open which this user may look into. */
export function listHeldChannels(opened: OpenFiles = openFiles()): NamedChannelInfo[] {
  const found: NamedChannelInfo[] = [];
  for (const name of opened.keys()) {
    if (!name.endsWith(BELL)) continue;
    const path = name.slice(0, -BELL.length);
    if (!opened.has(path)) continue;
    const info = namedChannelInfo(path, opened);
    // Not attached: the path means something else to the process that has it open.
    if (info?.attached) found.push(info);
  }
  return found;
}

/** What is known of the channel at a path; `undefined` if there is none that can be opened. */
export function namedChannelInfo(path: string, opened?: OpenFiles): NamedChannelInfo | undefined {
  try {
    const ring = RingPeek.open(path);
    try {
      return ring && describe(path, ring, opened);
    } finally {
      ring?.close();
    }
  } catch {
    return undefined; // some other file
  }
}

/** What is known of a channel that is being looked at. */
export function describe(path: string, ring: RingPeek, opened: OpenFiles = new Map()): NamedChannelInfo {
  const { head, read, tail, receiverWaits } = ring.counters();
  const { messages, damage } = ring.backlog();
  const { receiver, senders } = ring.endpoints();
  const holders = lockHolders(ring.status);
  // Some file systems number their files otherwise in the kernel's list of locks than for programs. Who only looks, as
  // this program does, has no doorbell open.
  const withBell = new Set(opened.get(path + BELL)?.map(({ pid }) => pid));
  for (const pid of openedBy(opened, path, ring.status)) {
    if (withBell.has(pid) && !holders.includes(pid)) holders.push(pid);
  }
  return {
    path,
    size: ring.status.size,
    capacity: ring.capacity,
    waiting: ((tail - head) | 0) * BLOCK,
    messages: messages.length,
    positions: { read, tail },
    receiverWaits,
    holders,
    receiver,
    senders,
    attached: holders.length > 0 || receiver !== undefined || senders.length > 0,
    damage,
  };
}

/**
 * Whether nobody at all is attached to the channel at a path, also none whom this user cannot see. Asks by taking the
 * lock for a moment: who attaches in it tries again, and who leaves in it leaves the files.
 */
export function isUnused(path: string): boolean {
  const lock = tryOpenFile(path, { access: "read-write", followLink: true });
  try {
    return lock !== undefined && tryLockFile(lock.fd, "alone");
  } finally {
    lock?.close();
  }
}
