// A topic has a name: a file at a path, one beside it, and a doorbell for each subscriber that ever waited.
//
// ```text
// PATH          the memory, as drawn in channel/broadcast/layout.ts
// PATH.seats    who is attached, and who sleeps, as drawn in channel/broadcast/seats.ts; only for those who may publish
// PATH.bell.n   rung by publishers for the subscriber in seat n
// PATH.early.ID rung by the publisher that makes the topic, for a subscriber that came before it
// ```
//
// Both files are born whole: made without a name, and linked to their paths. All locks are on the one beside the memory,
// so that who may only read the memory can lock nobody out. Who gets that file alone may remove all of them, in an
// order that leaves it for last: who comes meanwhile finds no topic, and makes one beside the same seats.
import { modeOf, optionsOf } from "../../base/arguments.ts";
import { IpcError } from "../../base/error.ts";
import { step } from "../../base/step_hook.ts";
import { pauseSync } from "../../ffi/event/pause.ts";
import { listDirectory } from "../../ffi/file/directory.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { tryLockFile } from "../../ffi/file/file_lock.ts";
import { type FileStatus, fileStatus, isSameFile } from "../../ffi/file/file_status.ts";
import { createUnnamed, openRegularFile, publish, setLength, setMode } from "../../ffi/file/named_file.ts";
import type { Access } from "../../ffi/file/open.ts";
import { type Trust, Trusted } from "../../ffi/file/trust.ts";
import { notRemoved, unlinkFile } from "../../ffi/file/unlink.ts";
import { writeWordAt } from "../../ffi/file/write_at.ts";
import { Mapping } from "../../ffi/memory/mapping.ts";
import { allocate } from "../../ffi/memory/storage.ts";
import { ringEarly } from "./early_bell.ts";
import { DATA_OFFSET, REMOVED, topicSize, W_STATE } from "./layout.ts";
import { blocksIn, blocksOf, newHeader, TopicMemory } from "./memory.ts";
import { areSeats, formatSeats, Ringer, seatsMode } from "./seats.ts";
import { bellPath, seatsPath, topicName, topicPath } from "./topic_name.ts";

/**
 * How a topic is made if it does not exist, and whose is used.
 *
 * @example A topic that every user of the machine may listen to
 * ```ts
 * import { IpcPublisher, IpcSubscriber, type PublisherOptions } from "@isthmus/ipc";
 * import { assertEquals } from "@std/assert";
 *
 * const options: PublisherOptions = { mode: 0o644, capacity: 1 << 20 };
 * const name = `news-${crypto.randomUUID()}`;
 * using news = IpcPublisher.open<string>(name, options);
 * using listener = IpcSubscriber.open<string>(name); // another user's program says: { trust: { users: [1000] } }
 * news.publish("hello");
 * assertEquals(listener.recvSync(), "hello");
 * ```
 */
export interface PublisherOptions {
  /**
   * Bytes of messages that are kept for subscribers, from 1 to 2^29; rounded up to a power of two, 64 KiB or more. No
   * message can be larger. A message takes 16 bytes more, rounded up to 64. Of a topic that exists, it is what it is.
   *
   * @default 4_194_304
   */
  capacity?: number;
  /**
   * Permission bits of the topic, whatever the umask: who may read it may subscribe, who may write it may publish. Of a
   * topic that exists: who may publish, beside this user, without being refused.
   *
   * @default 0o600
   */
  mode?: number;
  /**
   * Whose topic is used, if another user has made it: see {@linkcode Trust}. Another user's is refused without it.
   *
   * @default "user"
   */
  trust?: Trust;
}

/** One attachment to a topic. */
export interface TopicFile {
  readonly path: string;
  readonly memory: TopicMemory;
  readonly status: FileStatus;
  readonly trusted: Trusted;
  /** Holds the shared lock; `undefined` for who may only read the topic. */
  readonly seats: IpcFd | undefined;
}

/** How often a path is looked up again while its files are just being removed, 1 ms apart. */
const ATTEMPTS = 1000;

/** How often the same for seats that are not there: somebody has removed them, and nothing else. */
const MISSING = 50;

/** An open file of a topic. */
interface OpenFile {
  readonly fd: IpcFd;
  readonly status: FileStatus;
}

/** Attaches to a topic as a publisher; makes it if there is none, or if all who were attached have died. */
export function openForPublishing(name: string, options: PublisherOptions | undefined): TopicFile {
  const path = topicPath(name);
  const what = `Cannot open the topic "${name}"`;
  const given = optionsOf(options, what);
  const blocks = blocksOf(given.capacity), mode = modeOf(given.mode, "a topic");
  const trusted = new Trusted(given.trust, mode, what);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const found = attach(path, "read-write", what, trusted);
    if (found !== undefined) return found;
    const made = create(path, what, blocks, mode, trusted);
    if (made !== undefined) return made;
  }
  throw new IpcError("System", `${what}: its files are removed and made again all the time`);
}

/**
 * Attaches to a topic as a subscriber.
 *
 * @returns `undefined` if there is none.
 */
export function openForSubscribing(path: string, what: string, trusted: Trusted): TopicFile | undefined {
  return attach(path, "read", what, trusted);
}

function open(path: string, access: Access, what: string, trusted: Trusted): OpenFile | undefined {
  const found = openRegularFile(path, access, `${what}, "${path}"`);
  if (found === "nothing") return undefined;
  if (found === "another kind") {
    throw new IpcError("Incompatible", `${what}: "${path}" is not a regular file, so not a topic; use another name`);
  }
  try {
    trusted.check(found.status, what, path);
    return found;
  } catch (error) {
    found.fd.close();
    throw error;
  }
}

/** `undefined` if there is no topic at the path (any more). */
function attach(path: string, access: "read" | "read-write", what: string, trusted: Trusted): TopicFile | undefined {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const opened = open(path, access, what, trusted);
    if (opened === undefined) return undefined;
    const { fd, status } = opened;
    let seats: IpcFd | undefined;
    try {
      blocksIn(fd.fd, what); // before anything else is touched: it may be any file
      step("topic-opened");
      const taken = access === "read"
        ? mayTakeSeats(path, trusted, attempt < MISSING)
        : takeSeats(path, what, trusted, opened);
      seats = taken === "again" ? undefined : taken;
      if (taken !== "again" && isSameFile(status, path)) {
        const memory = new TopicMemory(fd, access === "read" ? "read" : "write", what);
        if (access === "read") noteSubscriber(fd);
        return { path, memory, status, trusted, seats };
      }
    } catch (error) {
      seats?.close();
      fd.close();
      throw error;
    }
    seats?.close();
    fd.close();
    pauseSync(1);
  }
  throw new IpcError("Timeout", `${what}: a process that is removing it has been stopped half-way; continue or end it`);
}

/** For those who list topics. Nobody relies on it, as anybody who may read the file can lock it in any way. */
function noteSubscriber(fd: IpcFd): void {
  tryLockFile(fd.fd, "shared");
}

/** The seats, held; `undefined` for who may not have one; "again" if the topic is just being removed, or made. */
function mayTakeSeats(path: string, trusted: Trusted, again: boolean): IpcFd | undefined | "again" {
  const at = seatsPath(path);
  let found: ReturnType<typeof openRegularFile>;
  try {
    found = openRegularFile(at, "read-write", "");
  } catch (error) {
    if (error instanceof IpcError && error.code === "Permission") return undefined;
    throw error;
  }
  if (typeof found === "string") return found === "nothing" && again ? "again" : undefined;
  const { fd, status } = found;
  if (!areSeats(fd.fd, status.size) || trusted.refusal(status, at) !== undefined) {
    fd.close();
    return undefined;
  }
  if (tryLockFile(fd.fd, "shared") && isSameFile(status, at)) return fd;
  fd.close();
  return "again";
}

/** The same for a publisher, who makes what is missing, and removes a topic that the dead have left. */
function takeSeats(path: string, what: string, trusted: Trusted, topic: OpenFile): IpcFd | "again" {
  const at = seatsPath(path);
  const found = open(at, "read-write", what, trusted);
  if (found === undefined) {
    // Else it was just removed.
    if (isSameFile(topic.status, path)) makeSeats(path, what, seatsMode(topic.status.mode), trusted);
    return "again";
  }
  const { fd, status } = found;
  try {
    checkSeats(found, at, what);
    if (tryLockFile(fd.fd, "alone")) {
      // All who were attached are dead. Another user's files may have to stay: then it goes on.
      if (isSameFile(status, at) && removeFiles(path, topic.status, topic.fd, status) === 0) {
        fd.close();
        return "again";
      }
    }
    if (tryLockFile(fd.fd, "shared") && isSameFile(status, at)) return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
  fd.close();
  return "again";
}

/** Makes a topic; `undefined` if another does. */
function create(
  path: string,
  what: string,
  blocks: number,
  mode: number,
  trusted: Trusted,
): TopicFile | undefined {
  const fd = createUnnamed(folderOf(path), what, `${what}: its folder must take unnamed files`);
  let seats: IpcFd | undefined;
  try {
    setLength(fd.fd, topicSize(blocks), what);
    // All but the data, now: a page that cannot be had later is a fault. The data is had as it is used, see writer.ts.
    allocate(fd.fd, 0, DATA_OFFSET, what);
    trusted.give(fd.fd, what);
    setMode(fd.fd, mode, what);
    const mapping = Mapping.shared(fd.fd, DATA_OFFSET);
    new Int32Array(mapping.buffer).set(newHeader(blocks));
    mapping.unmap();
    makeSeats(path, what, seatsMode(mode), trusted);
    // Held before the topic can be found, so that nobody takes it for a dead one.
    seats = holdSeats(path, what, trusted);
    step("topic-seats-held");
    if (seats !== undefined && publish(fd.fd, path, what)) {
      step("topic-linked");
      ringEarly(path);
      return { path, memory: new TopicMemory(fd, "write", what), status: fileStatus(fd.fd)!, trusted, seats };
    }
  } catch (error) {
    seats?.close();
    fd.close();
    throw error;
  }
  seats?.close();
  fd.close();
  return undefined;
}

/** The seats at a path, held; `undefined` if they are just being removed. */
function holdSeats(path: string, what: string, trusted: Trusted): IpcFd | undefined {
  const at = seatsPath(path), found = open(at, "read-write", what, trusted);
  if (found === undefined) return undefined;
  try {
    checkSeats(found, at, what);
    if (tryLockFile(found.fd.fd, "shared") && isSameFile(found.status, at)) return found.fd;
  } catch (error) {
    found.fd.close();
    throw error;
  }
  found.fd.close();
  pauseSync(1);
  return undefined;
}

function checkSeats({ fd, status }: OpenFile, at: string, what: string): void {
  if (areSeats(fd.fd, status.size)) return;
  throw new IpcError("Incompatible", `${what}: "${at}" is something else; remove it, or use another name`);
}

function makeSeats(path: string, what: string, mode: number, trusted: Trusted): void {
  const fd = createUnnamed(folderOf(path), what);
  try {
    formatSeats(fd.fd, what);
    trusted.give(fd.fd, what);
    setMode(fd.fd, mode, what);
    publish(fd.fd, seatsPath(path), what);
  } finally {
    fd.close();
  }
}

export function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

/**
 * Gives an attachment up; the last one removes the files. Those of another user, in a folder where only their owner may
 * remove them, stay, and serve the next publisher.
 */
export function leaveTopic({ path, memory, status, seats }: TopicFile): void {
  if (seats !== undefined && tryLockFile(seats.fd, "alone")) {
    removeFiles(path, status, memory.mayWrite ? memory.fd : undefined, fileStatus(seats.fd));
  }
  memory.close();
  seats?.close();
}

/**
 * Removes the files of a topic. The caller has its seats alone, or does not care who is attached.
 *
 * @param topic The file of the memory.
 * @param fd The same, open for writing: those who may only read it, and are not asked, are told by it.
 * @param seats The file of the seats. Another at the same path is that of another topic.
 * @returns 0, or the number of the error that the first file which could not be removed met with.
 */
function removeFiles(path: string, topic: FileStatus, fd: IpcFd | undefined, seats: FileStatus | undefined): number {
  step("topic-removing");
  let failed = isSameFile(topic, path) ? unlinkFile(path) : 0;
  if (failed !== 0) return failed;
  if (fd !== undefined) writeWordAt(fd.fd, W_STATE * 4, REMOVED, `Cannot remove the topic "${path}"`);
  step("topic-removed");
  if (seats === undefined || !isSameFile(seats, seatsPath(path))) return 0;
  removeBells(path);
  failed = unlinkFile(seatsPath(path));
  step("topic-seats-removed");
  return failed;
}

function removeBells(path: string): void {
  const folder = folderOf(path), bells = bellPath(path, 0).slice(folder.length, -1);
  for (const found of listDirectory(folder)) {
    if (found.startsWith(bells) && /^\d+$/.test(found.slice(bells.length))) unlinkFile(folder + found);
  }
}

/**
 * What is left of a topic whose last process was killed while it made or removed it: seats that nobody has, without a topic.
 *
 * @param remove Whether to remove them.
 * @returns Whether there are any.
 */
export function areOrphans(path: string, remove: boolean): boolean {
  const at = seatsPath(path), found = openRegularFile(at, "read-write", `Cannot look at "${at}"`);
  if (typeof found === "string") return false;
  const fd = found.fd;
  try {
    // Who makes a topic holds its seats first, and finds out if they are not at their path any more.
    if (!areSeats(fd.fd, found.status.size) || !tryLockFile(fd.fd, "alone") || fileStatus(path) !== undefined) {
      return false;
    }
    if (!remove) return true;
    removeBells(path);
    return unlinkFile(at) === 0;
  } finally {
    fd.close();
  }
}

/**
 * Removes a topic, also another user's: nothing in it is relied on.
 *
 * @param force Also if a process is attached; publishers and subscribers go on with each other, without a name, until there
 * is a new topic, which subscribers go over to.
 * @returns Whether it was removed: `false` if there is none, or, without `force`, if a process is attached.
 * @throws {IpcError} `Incompatible` if it is not a topic; `Permission` if it cannot be removed.
 */
export function removeTopic(path: string, force: boolean): boolean {
  const what = `Cannot remove the topic "${topicName(path)}"`;
  const found = openAnyhow(path, what);
  if (found === undefined) return false;
  const topic = found.fd;
  try {
    blocksIn(topic.fd, what);
    const opened = openAnyhow(seatsPath(path), what);
    const seats = opened?.fd;
    try {
      if (!force && seats !== undefined && !tryLockFile(seats.fd, "alone")) return false;
      const failed = removeFiles(path, found.status, found.mayWrite ? topic : undefined, opened?.status);
      if (failed !== 0) throw notRemoved(what, "it", found.status.uid, failed);
      if (force && seats !== undefined && opened?.mayWrite && areSeats(seats.fd, opened.status.size)) {
        const ringer = new Ringer(seats, path);
        ringer.ring();
        ringer.close();
      }
      return true;
    } finally {
      seats?.close();
    }
  } finally {
    topic.close();
  }
}

/** For writing if that may be, else for reading. */
function openAnyhow(path: string, what: string): { fd: IpcFd; status: FileStatus; mayWrite: boolean } | undefined {
  for (const access of ["read-write", "read"] as const) {
    try {
      const found = openRegularFile(path, access, what);
      if (typeof found !== "string") return { ...found, mayWrite: access === "read-write" };
      if (found === "nothing") return undefined;
      throw new IpcError("Incompatible", `${what}: "${path}" is not a regular file, so not a topic`);
    } catch (error) {
      if (access === "read" || !(error instanceof IpcError) || error.code !== "Permission") throw error;
    }
  }
  return undefined;
}
