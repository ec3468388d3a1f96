// sendmsg and recvmsg: bytes and descriptors in one message.
// The control data is a struct cmsghdr, then the descriptors, 4 bytes each.
import { IpcError } from "../../base/error.ts";
import { IpcFd, unwatchedFd } from "../file/fd.ts";
import { closeAllForeign } from "../file/foreign_fd.ts";
import { libc, systemError } from "../libc/libc.ts";
import {
  EAGAIN,
  ECONNRESET,
  EINTR,
  EMFILE,
  ENFILE,
  ENOTCONN,
  EPIPE,
  ETOOMANYREFS,
  F_DUPFD_CLOEXEC,
  MSG_CMSG_CLOEXEC,
  MSG_CTRUNC,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_PEEK,
  MSG_TRUNC,
  POLLNVAL,
  SCM_RIGHTS,
  SOL_SOCKET,
} from "../libc/platform.ts";
import { descriptorLimit } from "../file/resources.ts";
import { runtime } from "../runtime/mod.ts";
import { CMSGHDR, IOVEC, MSGHDR } from "../libc/structs.ts";

/** The most descriptors that Linux takes in one message (SCM_MAX_FD). */
export const MAX_FDS_PER_MESSAGE = 253;

const CMSG_HEADER = CMSGHDR.size;
const CONTROL_LENGTH = CMSG_HEADER + 4 * (MAX_FDS_PER_MESSAGE + 1); // rounded up to 8

/** Indices of 4 bytes. */
const WORD = 4;
const IOV = 64 / WORD; // the iovec lies behind the msghdr
const CONTROL = MSGHDR.msg_control / WORD, CONTROL_LEN = MSGHDR.msg_controllen / WORD, FLAGS = MSGHDR.msg_flags / WORD;
const IOV_BASE = IOV + IOVEC.iov_base / WORD, IOV_LEN = IOV + IOVEC.iov_len / WORD;
const CMSG_LEN = CMSGHDR.cmsg_len / WORD, CMSG_LEVEL = CMSGHDR.cmsg_level / WORD, CMSG_TYPE = CMSGHDR.cmsg_type / WORD;
const CMSG_DATA = CMSG_HEADER / WORD;

/**
 * The structures of one call, allocated once an isolate: the calls below neither nest nor wait. Written in halves of 4 bytes,
 * the lower one first: a number of 8 bytes would be a big integer, which is an allocation.
 */
class Frame {
  readonly words = new Int32Array(32);
  /** Of the header: an array as an argument takes 20 ns, as the runtime asks each time where it lies. */
  readonly header = runtime.pointerTo(this.words);
  readonly control = new Int32Array(CONTROL_LENGTH / WORD);
  readonly #controlAddress = halvesOf(addressOf(new Uint8Array(this.control.buffer)));
  /** The packet whose place is in the iovec. */
  #packet: Uint8Array | undefined;

  constructor() {
    const iov = halvesOf(runtime.address(this.header) + BigInt(IOV * WORD));
    this.words.set(iov, MSGHDR.msg_iov / WORD);
    this.words[MSGHDR.msg_iovlen / WORD] = 1;
  }

  prepare(data: Uint8Array, length: number, controlLength: number): void {
    const { words } = this;
    if (data !== this.#packet) this.#place(data);
    words[IOV_LEN] = length;
    words[IOV_LEN + 1] = length / 2 ** 32;
    words[CONTROL] = controlLength === 0 ? 0 : this.#controlAddress[0];
    words[CONTROL + 1] = controlLength === 0 ? 0 : this.#controlAddress[1];
    words[CONTROL_LEN] = controlLength;
    words[FLAGS] = 0;
  }

  #place(data: Uint8Array): void {
    this.words.set(data.length === 0 ? [0, 0] : halvesOf(addressOf(data)), IOV_BASE);
    this.#packet = packets.has(data) ? data : undefined;
  }
}

let shared: Frame | undefined;

function addressOf(bytes: Uint8Array): bigint {
  return runtime.address(runtime.pointerTo(bytes as Uint8Array<ArrayBuffer>));
}

function halvesOf(address: bigint): [low: number, high: number] {
  return [Number(address & 0xffff_ffffn) | 0, Number(address >> 32n) | 0];
}

/** The arrays of {@linkcode packetBuffer}: asking where an array lies takes as long as a system call. */
const packets = new WeakSet<Uint8Array>();

/** So many bytes for packets, to be used again and again, and never transferred. */
export function packetBuffer(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(Math.max(length, 128)).subarray(0, length);
  packets.add(bytes);
  return bytes;
}

/**
 * Sends bytes and descriptors as one message, without waiting.
 *
 * @param socket A Unix socket.
 * @param data The bytes; a stream socket carries descriptors only beside at least one.
 * @param fds At most {@linkcode MAX_FDS_PER_MESSAGE}; they stay the caller's.
 * @param length How many of the bytes, if not all.
 * @returns The bytes sent, or the error number, negative.
 */
export function sendMessage(
  socket: number,
  data: Uint8Array,
  fds: readonly number[],
  length: number = data.length,
): number {
  const { c, errnoCell } = libc();
  const frame = shared ??= new Frame();
  const control = fds.length === 0 ? 0 : CMSG_HEADER + 4 * fds.length;
  frame.prepare(data, length, control);
  if (control > 0) {
    const words = frame.control;
    words[CMSG_LEN] = control; // exact, not rounded up: Linux would read the padding as one more descriptor
    words[CMSG_LEN + 1] = 0;
    words[CMSG_LEVEL] = SOL_SOCKET;
    words[CMSG_TYPE] = SCM_RIGHTS;
    for (let i = 0; i < fds.length; i++) words[CMSG_DATA + i] = fds[i]!;
  }
  for (;;) {
    const sent = c.sendmsg(socket, frame.header, MSG_DONTWAIT | MSG_NOSIGNAL);
    const errno = errnoCell[0]!;
    if (sent >= 0) return sent;
    if (errno !== EINTR) return -errno;
  }
}

/** What one `recvmsg` brought. */
export interface ReceivedMessage {
  /** Bytes written to the buffer; 0 is the end of the stream. */
  readonly length: number;
  /** `MSG_TRUNC` if the message was longer than the buffer (SOCK_SEQPACKET). */
  readonly flags: number;
  /** The descriptors, owned. */
  readonly fds: IpcFd[];
}

/**
 * Receives bytes and descriptors, without waiting. Every descriptor is closed by `exec`.
 *
 * @param socket A Unix socket.
 * @param data Where the bytes go.
 * @param maxFds Descriptors expected; what comes beyond is closed and an error.
 * @param watched Whether the descriptors are closed should they be forgotten: see `unwatchedFd()`.
 * @param peek Whether the message stays where it is: what is received is a copy, of the descriptors, too.
 * @returns The message, or the error number, negative.
 * @throws {IpcError} `Corrupt` for more descriptors than expected; `System` where the descriptor table is full.
 */
export function receiveMessage(
  socket: number,
  data: Uint8Array,
  maxFds: number,
  watched = true,
  peek = false,
): ReceivedMessage | number {
  const { c, errnoCell } = libc();
  const frame = shared ??= new Frame();
  const how = MSG_DONTWAIT | MSG_CMSG_CLOEXEC | (peek ? MSG_PEEK : 0);
  let length: number;
  for (;;) {
    // Room for one more than expected, by which it is known that there are too many; Linux closes the others.
    frame.prepare(data, data.length, CMSG_HEADER + 4 * (Math.min(maxFds, MAX_FDS_PER_MESSAGE) + 1));
    length = c.recvmsg(socket, frame.header, how);
    const errno = errnoCell[0]!;
    if (length >= 0) break;
    if (errno !== EINTR) return -errno;
  }
  const words = frame.control, flags = frame.words[FLAGS]!, end = frame.words[CONTROL_LEN]! / WORD;
  const fds: IpcFd[] = [];
  for (let at = 0; at + CMSG_DATA <= end;) {
    const size = words[at + CMSG_LEN]! / WORD;
    if (size < CMSG_DATA || at + size > end) break;
    if (words[at + CMSG_LEVEL] === SOL_SOCKET && words[at + CMSG_TYPE] === SCM_RIGHTS) {
      for (let i = at + CMSG_DATA; i < at + size; i++) {
        const fd = words[i]!;
        fds.push(watched ? new IpcFd(fd) : unwatchedFd(fd));
      }
    }
    at += 2 * Math.ceil(size / 2); // each begins at a multiple of 8 bytes
  }
  if (fds.length > maxFds) {
    closeAllForeign(fds);
    throw new IpcError(
      "Corrupt",
      `Cannot take more than ${maxFds} descriptors from a message, as many as were expected: all were closed`,
    );
  }
  if ((flags & MSG_CTRUNC) !== 0) {
    closeAllForeign(fds);
    // With room for one more than expected, only a full table makes Linux drop some.
    throw systemError("Cannot receive the descriptors of a message: some were lost", "recvmsg", EMFILE);
  }
  return { length, flags, fds };
}

/**
 * The first bytes of what can be received next, without its descriptors, which stay where they are, as everything does.
 *
 * @returns How many there are, 0 at the end of the stream, or the error number, negative.
 */
export function peekBytes(socket: number, data: Uint8Array<ArrayBuffer>): number {
  const { c, errnoCell } = libc();
  const size = BigInt(data.length);
  for (;;) {
    const length = c.recv(socket, data, size, MSG_DONTWAIT | MSG_PEEK);
    const errno = errnoCell[0]!;
    if (length >= 0) return length;
    if (errno !== EINTR) return -errno;
  }
}

/**
 * Receives bytes and descriptors, or leaves all of it where it is if this process has no room for them: they are copied,
 * then what was copied is dropped. Two system calls, instead of four for a look, and for making sure that there is room.
 *
 * Only for a socket whose receiving end nobody else has. Others could have a call copy one message and drop another
 * (SO_PEEK_OFF), and what is dropped is closed at once, whatever it is: see `foreign_fd.ts`.
 *
 * @param data Where the bytes go.
 * @returns As {@linkcode receiveMessage}, for any number of descriptors; not watched.
 * @throws {IpcError} `System` where the descriptor table is full, or a security module does not let them in: nothing was
 * received then.
 */
export function receiveWhole(socket: number, data: Uint8Array<ArrayBuffer>): ReceivedMessage | number {
  const received = copyWhole(socket, data);
  if (typeof received !== "number" && received.length > 0) dropCopied(socket, data, received.length);
  return received;
}

/** The first part of {@linkcode receiveWhole}: what is received stays where it is. */
export function copyWhole(socket: number, data: Uint8Array<ArrayBuffer>): ReceivedMessage | number {
  return receiveMessage(socket, data, MAX_FDS_PER_MESSAGE, false, true);
}

/**
 * The second part of {@linkcode receiveWhole}: drops what was copied.
 *
 * @param data Where its bytes may go again.
 * @param bytes How many were copied.
 */
export function dropCopied(socket: number, data: Uint8Array<ArrayBuffer>, bytes: number): void {
  const { c, errnoCell } = libc();
  const length = BigInt(bytes);
  // A reset between the two is told once, and nothing was dropped.
  while (
    c.recv(socket, data, length, MSG_DONTWAIT) < 0 && (errnoCell[0]! === EINTR || errnoCell[0]! === ECONNRESET)
  );
}

/** Whether a packet was longer than the buffer: its end is lost. */
export function wasCutOff(received: ReceivedMessage): boolean {
  return (received.flags & MSG_TRUNC) !== 0;
}

/** Whether nothing was sent or received as that would have to wait: the socket is full, or nothing is there. */
export function wouldWait(result: number): boolean {
  return result === -EAGAIN;
}

/** Whether nothing was sent or received as the other end is gone. */
export function isPeerGone(result: number): boolean {
  return result === -EPIPE || result === -ECONNRESET;
}

/**
 * Whether receiving from a socket has told, once, that the other end was closed with something unread. What that had sent is
 * still there.
 */
export function isReset(received: ReceivedMessage | number): boolean {
  return received === -ECONNRESET;
}

/** How often to receive again where {@linkcode tellsEnd} holds. */
export const END_LOOKS = 2;

/**
 * Whether receiving has told the end of a socket that keeps packets apart, by 0 or a reset. Packets may be there all the same: Linux
 * looks at the queue, then whether the other end is closed, and that may have sent and closed in between (1 of some 10,000
 * receivers that look without a pause). So receive again, at most {@linkcode END_LOOKS} times: after 0 comes the reset, if there is
 * one, then the packets.
 */
export function tellsEnd(received: ReceivedMessage | number): boolean {
  return typeof received === "number"
    ? received === 0 || isReset(received)
    : received.length + received.fds.length === 0;
}

/** Whether nothing was sent as the socket never had another end. */
export function isUnconnected(result: number): boolean {
  return result === -ENOTCONN;
}

/** Whether nothing was sent as too many descriptors of this user are in flight. */
export function isTooManyInFlight(result: number): boolean {
  return result === -ETOOMANYREFS;
}

/** What an error says of a call that returned a negative number. */
export function failureOf(result: number, syscall: "sendmsg" | "recvmsg"): { errno: number; syscall: string } {
  return { errno: -result, syscall };
}

/** The error for a call that returned a negative number. */
export function messageError(what: string, result: number, syscall: "sendmsg" | "recvmsg"): IpcError {
  return systemError(what, syscall, -result);
}

/** Whether an error says that this process, or the machine, has no descriptor left: another try may succeed later. */
export function isTableFull(error: unknown): error is IpcError {
  return error instanceof IpcError && (error.errno === EMFILE || error.errno === ENFILE);
}

/** The highest numbers that the table may have, downwards, as `struct pollfd`; for so many descriptors at most. */
const MOST_ASKED = MAX_FDS_PER_MESSAGE + 1;
const asked = new Int32Array(2 * MOST_ASKED);
let askedBelow = 0;

/**
 * Whether the last `count` numbers that the table may have are free, which they are nearly always, as numbers are given
 * out from the first on. Two system calls, instead of two for each descriptor.
 */
function lastAreFree(count: number): boolean {
  const { c } = libc();
  const below = Math.min(descriptorLimit().soft, 0x7fff_ffff);
  if (count > MOST_ASKED || below < count) return false;
  if (askedBelow !== below) {
    for (let i = 0; i < MOST_ASKED; i++) asked[2 * i] = below - 1 - i;
    askedBelow = below;
  }
  if (c.poll(asked, BigInt(count), 0) !== count) return false;
  for (let i = 0; i < count; i++) if (asked[2 * i + 1]! >>> 16 !== POLLNVAL) return false;
  return true;
}

/**
 * Makes sure that `count` more descriptors fit in this process's table, before something that would lose them.
 *
 * @throws {IpcError} `System` if they do not.
 */
export function ensureRoomForFds(anyFd: number, count: number, what: string): void {
  const { c, errnoCell } = libc();
  if (lastAreFree(count)) return;
  const probes: number[] = [];
  try {
    while (probes.length < count) {
      const fd = c.fcntl(anyFd, F_DUPFD_CLOEXEC, 0);
      const errno = errnoCell[0]!;
      if (fd < 0) throw systemError(what, "fcntl", errno);
      probes.push(fd);
    }
  } finally {
    for (const fd of probes) c.close(fd);
  }
}
