// What an end of a channel consists of when it is not in use: three descriptors, in a fixed order.
import { type BellRole, createDoorbell, privateEnd, sharedEnd } from "../../ffi/event/doorbell.ts";
import { IpcError } from "../../base/error.ts";
import { IpcFd } from "../../ffi/file/fd.ts";
import { closeForeignTogether, type Expected, isUnixSocket } from "../../ffi/file/foreign_fd.ts";
import { socketPair } from "../../ffi/socket/new_socket.ts";
import { RingMemory } from "./memory.ts";

/** The descriptors of one end: enough to use it, or to hand it to another process. */
export interface Handle {
  /** The ring's memory file. */
  readonly memory: IpcFd;
  /** The doorbell: senders have the write end, the receiver the read end. */
  readonly bell: IpcFd;
  /** The socket for descriptors. */
  readonly descriptors: IpcFd;
}

/** Descriptors a handle has. */
export const HANDLE_FDS = 3;

/** The descriptors of a handle, in the order in which they travel. */
export function handleFds(handle: Handle): IpcFd[] {
  return [handle.memory, handle.bell, handle.descriptors];
}

/** What each is. */
const HANDLE_KINDS: readonly Expected[] = ["memory", "pipe", "socket"];

/** A handle from descriptors in that order. */
export function handleFrom(fds: readonly IpcFd[]): Handle {
  return { memory: fds[0]!, bell: fds[1]!, descriptors: fds[2]! };
}

/** Whether something is an end of a channel that is not packed. */
export function isHandle(value: unknown): value is Handle {
  return typeof value === "object" && value !== null && (value as Handle).memory instanceof IpcFd;
}

/** Closes a handle that nobody uses. */
export function closeHandle(handle: Handle): void {
  closeForeignTogether(handleFds(handle), HANDLE_KINDS);
}

/**
 * Puts an end that came from a peer to use: maps the ring, and makes the doorbell this process's own.
 *
 * @param handle Its descriptors belong to what is returned. Closed as a whole if it is refused; where it is the system
 * that has no memory left, it is as it was, for another try.
 * @param role The receiver listens, a sender rings.
 */
export function openHandle(handle: Handle, role: BellRole): { memory: RingMemory; bell: IpcFd; descriptors: IpcFd } {
  const { descriptors } = handle;
  let memory: RingMemory | undefined;
  try {
    memory = RingMemory.attach(handle.memory);
    if (!isUnixSocket(descriptors.fd)) {
      throw new IpcError("Corrupt", "Cannot use the end of a channel that a peer sent: it comes without its socket");
    }
    return { memory, bell: role === "ring" ? sharedEnd(handle.bell) : privateEnd(handle.bell, role), descriptors };
  } catch (error) {
    memory?.release();
    const another = memory === undefined && error instanceof IpcError && error.code === "System";
    if (!another) closeHandle(handle); // what was closed on the way is not closed twice
    throw error;
  }
}

/** The parts of a new channel. The memory is used by two: release it once an end. */
export interface NewChannel {
  readonly memory: RingMemory;
  readonly senderBell: IpcFd;
  readonly receiverBell: IpcFd;
  readonly senderSocket: IpcFd;
  readonly receiverSocket: IpcFd;
}

/** Makes everything a channel needs, or nothing. */
export function createChannel(capacity: number | undefined): NewChannel {
  const memory = RingMemory.create(capacity);
  const made: IpcFd[] = [];
  try {
    const [receiverBell, senderBell] = createDoorbell();
    made.push(receiverBell, senderBell);
    const [senderSocket, receiverSocket] = socketPair("stream");
    return { memory: memory.retain(), senderBell, receiverBell, senderSocket, receiverSocket };
  } catch (error) {
    for (const fd of made) fd.close();
    memory.release();
    throw error;
  }
}
