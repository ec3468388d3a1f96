// How a client hands the far end of a new channel to a server: one message with descriptors on a Unix stream socket.
//
// ```text
// 0 magic "ISTHHELO" (8) · 8 format version (4) · 12 channels (4)        beside it, 3 descriptors a channel end
// ```
//
// The client makes the channel and needs no answer, so that connecting does not wait for the server to accept.
import { IpcError } from "../ffi/error.ts";
import type { IpcFd } from "../ffi/fd.ts";
import { systemError } from "../ffi/libc.ts";
import { EAGAIN, ECONNRESET, EPIPE } from "../ffi/platform.ts";
import { ensureRoomForFds, receiveMessage, sendMessage } from "../ffi/socket_message.ts";
import { UnixSocket } from "../ffi/unix_socket.ts";
import { createChannel, type Handle, HANDLE_FDS, handleFds, handleFrom, type NewChannel } from "./handle.ts";
import { closeAll } from "./descriptor_queue.ts";
import { FORMAT_VERSION } from "./ring_layout.ts";
import { RingReceiver } from "./ring_receiver.ts";
import { RingSender } from "./ring_sender.ts";
import { SenderPort } from "./sender_port.ts";

const MAGIC_LOW = 0x48545349, MAGIC_HIGH = 0x4f4c4548; // "ISTHHELO"
const HELLO = 16;

/** Sends ends of channels over a fresh connection, and closes it. */
export function sendHello(serverName: string, handles: readonly Handle[]): void {
  const socket = UnixSocket.connect(serverName);
  try {
    const hello = new Int32Array([MAGIC_LOW, MAGIC_HIGH, FORMAT_VERSION, handles.length]);
    const sent = sendMessage(
      socket.fd,
      new Uint8Array(hello.buffer),
      handles.flatMap(handleFds).map((fd) => fd.fd),
    );
    if (sent === -EPIPE || sent === -ECONNRESET) {
      throw new IpcError("NotFound", `Cannot connect to "${serverName}": the server went away`, { errno: -sent });
    }
    if (sent < 0) throw systemError(`Cannot connect to "${serverName}"`, "sendmsg", -sent);
  } finally {
    socket.close();
  }
}

/**
 * Reads what a client sent, without waiting.
 *
 * @param connection The accepted connection; stays the caller's.
 * @param channels How many channel ends this kind of server expects.
 * @returns The ends, or `undefined` if the client has not sent them yet.
 * @throws {IpcError} `Disconnected` if the client is gone, `Incompatible` or `Corrupt` if it is none of ours; `System`
 * if this process has no room for its descriptors: nothing is lost then, see `isTableFull`.
 */
export function receiveHello(connection: UnixSocket, channels: number): Handle[] | undefined {
  ensureRoomForFds(connection.fd, channels * HANDLE_FDS, "Cannot accept a client");
  const hello = new Int32Array(HELLO / 4);
  const received = receiveMessage(connection.fd, new Uint8Array(hello.buffer), channels * HANDLE_FDS);
  if (typeof received === "number") {
    if (received === -EAGAIN) return undefined;
    if (received === -ECONNRESET) throw clientGone();
    throw systemError("Cannot accept a client", "recvmsg", -received);
  }
  if (received.length === 0) throw clientGone();
  const problem = problemOf(hello, received.length, received.fds, channels);
  if (problem !== undefined) {
    closeAll(received.fds);
    throw problem;
  }
  return Array.from(
    { length: channels },
    (_, i) => handleFrom(received.fds.slice(i * HANDLE_FDS, (i + 1) * HANDLE_FDS)),
  );
}

function problemOf(hello: Int32Array, length: number, fds: readonly IpcFd[], channels: number): IpcError | undefined {
  if (length !== HELLO || hello[0] !== MAGIC_LOW || hello[1] !== MAGIC_HIGH) {
    return new IpcError("Corrupt", "Cannot accept a client: what it sent is no greeting of this package");
  }
  if (hello[2] !== FORMAT_VERSION) {
    return new IpcError(
      "Incompatible",
      `Cannot accept a client of format ${hello[2]}: this version of the package speaks format ${FORMAT_VERSION}`,
    );
  }
  if (hello[3] !== channels || fds.length !== channels * HANDLE_FDS) {
    return new IpcError(
      "Incompatible",
      `Cannot accept a client: it brings ${hello[3]} channels with ${fds.length} descriptors, this kind of server ` +
        `takes ${channels}; connect with the class that belongs to the server's`,
    );
  }
  return undefined;
}

function clientGone(): IpcError {
  return new IpcError("Disconnected", "Cannot accept a client: it went away before it had introduced itself");
}

/** Makes a channel and hands its receiving end to a one-shot server. */
export function connectChannel(serverName: string): SenderPort {
  const parts = createChannel(undefined);
  try {
    sendHello(serverName, [{ memory: parts.memory.fd, bell: parts.listen, descriptors: parts.receiveDescriptors }]);
  } catch (error) {
    parts.memory.release();
    parts.ring.close();
    parts.sendDescriptors.close();
    throw error;
  } finally {
    parts.memory.release();
    parts.listen.close();
    parts.receiveDescriptors.close();
  }
  return SenderPort.of(RingSender.create(parts.memory, parts.ring, parts.sendDescriptors));
}

/** Makes a channel each way and hands the far ends to a server. */
export function connectDuplex(serverName: string, capacity: number | undefined): [SenderPort, RingReceiver] {
  const there = createChannel(capacity);
  let back: NewChannel;
  try {
    back = createChannel(capacity);
  } catch (error) {
    closeParts(there);
    throw error;
  }
  try {
    sendHello(serverName, [
      { memory: there.memory.fd, bell: there.listen, descriptors: there.receiveDescriptors },
      { memory: back.memory.fd, bell: back.ring, descriptors: back.sendDescriptors },
    ]);
  } catch (error) {
    closeParts(there);
    closeParts(back);
    throw error;
  }
  for (const { memory } of [there, back]) memory.release(); // the far ends' share
  for (const fd of [there.listen, there.receiveDescriptors, back.ring, back.sendDescriptors]) fd.close();
  const receiver = RingReceiver.create(back.memory, back.listen, back.receiveDescriptors);
  return [SenderPort.of(RingSender.create(there.memory, there.ring, there.sendDescriptors)), receiver];
}

/** Closes a channel that nobody uses. */
function closeParts(parts: NewChannel): void {
  parts.memory.release();
  parts.memory.release();
  for (const fd of [parts.ring, parts.listen, parts.sendDescriptors, parts.receiveDescriptors]) fd.close();
}
