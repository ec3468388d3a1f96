// Finds the topics of a folder, or of running processes.
import { listDirectory } from "../../ffi/file/directory.ts";
import { tryLockFile } from "../../ffi/file/file_lock.ts";
import { openRegularFile } from "../../ffi/file/named_file.ts";
import type { OpenFiles } from "../../ffi/file/open_files.ts";
import { abandonedBellOf } from "./early_bell.ts";
import { areOrphans } from "./topic_file.ts";
import { seatsPath } from "./topic_name.ts";
import { type TopicInfo, TopicPeek } from "./topic_peek.ts";

const SEATS = seatsPath("");

/** The topics in a folder that this user may read. */
export function listTopics(folder: string): TopicInfo[] {
  const names = new Set(listDirectory(folder)), found: TopicInfo[] = [];
  for (const name of names) {
    // The file beside it tells a topic from all other files before anything is opened.
    if (!names.has(name + SEATS)) continue;
    const info = topicInfo(`${folder.replace(/\/+$/, "")}/${name}`);
    if (info !== undefined) found.push(info);
  }
  return found;
}

/** The topics, wherever they are, that processes have open which this user may look into. */
export function listHeldTopics(opened: OpenFiles): TopicInfo[] {
  const found: TopicInfo[] = [];
  for (const name of opened.keys()) {
    if (!name.endsWith(SEATS)) continue;
    const info = topicInfo(name.slice(0, -SEATS.length));
    if (info?.attached) found.push(info);
  }
  return found;
}

/** What is known of the topic at a path; `undefined` if there is none that can be read. */
export function topicInfo(path: string): TopicInfo | undefined {
  try {
    const topic = TopicPeek.open(path);
    try {
      return topic?.info();
    } finally {
      topic?.[Symbol.dispose]();
    }
  } catch {
    return undefined; // some other file
  }
}

/** Whether nobody at all is attached to a topic that counts, also none whom this user cannot see. */
export function isTopicUnused(path: string): boolean {
  try {
    const seats = openRegularFile(seatsPath(path), "read-write", "");
    if (typeof seats === "string") return seats === "nothing";
    const fd = seats.fd;
    try {
      return tryLockFile(fd.fd, "alone");
    } finally {
      fd.close();
    }
  } catch {
    return false; // another user's
  }
}

/**
 * Paths of topics of which a process that was killed has left only the seats, or the doorbell of one that came early.
 *
 * @param remove Whether to remove them.
 */
export function orphanTopics(folder: string, remove: boolean): string[] {
  const names = new Set(listDirectory(folder)), found = new Set<string>();
  for (const name of names) {
    const early = abandonedBellOf(`${folder.replace(/\/+$/, "")}/${name}`, remove);
    if (early !== undefined) found.add(early);
    if (!name.endsWith(SEATS) || names.has(name.slice(0, -SEATS.length))) continue;
    const path = `${folder.replace(/\/+$/, "")}/${name.slice(0, -SEATS.length)}`;
    try {
      if (areOrphans(path, remove)) found.add(path);
    } catch {
      // another user's
    }
  }
  return [...found];
}
