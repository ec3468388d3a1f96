// How a client hands the far end of a new channel to a server: one message with descriptors on a Unix stream socket.
//
// ```text
// 0 magic "ISTHHELO" (8) · 8 format version (4) · 12 channels (4)        beside it, 3 descriptors a channel end
// ```
//
// The client makes the channel and needs no answer, so that connecting does not wait for the server to accept.
import { IpcError } from "../../base/error.ts";
import type { IpcFd } from "../../ffi/file/fd.ts";
import { closeAllForeign } from "../../ffi/file/foreign_fd.ts";
import { fileStatus } from "../../ffi/file/file_status.ts";
import { isAbstract } from "../../ffi/socket/socket_address.ts";
import {
  ensureRoomForFds,
  failureOf,
  isPeerGone,
  messageError,
  receiveMessage,
  sendMessage,
  wouldWait,
} from "../../ffi/socket/socket_message.ts";
import { UnixSocket } from "../../ffi/socket/unix_socket.ts";
import { createChannel, type Handle, HANDLE_FDS, handleFds, handleFrom, type NewChannel } from "../ring/handle.ts";
import { FORMAT_VERSION } from "../ring/layout.ts";
import { RingConsumer } from "../ring/consumer.ts";
import { RingProducer } from "../ring/producer.ts";
import { SenderPort } from "./sender_port.ts";
import { MOST_CHANNELS, ONE_SHOT, requireKind, type ServerKind, wrongKind } from "./server_kind.ts";

const MAGIC_LOW = 0x48545349, MAGIC_HIGH = 0x4f4c4548; // "ISTHHELO"
const HELLO = 16;
const NO_TOKEN = new Uint8Array(0);

/**
 * Sends ends of channels over a fresh connection, and closes it.
 *
 * @param token What follows the greeting: see `channel/server/parent_name.ts`.
 */
export function sendHello(serverName: string, handles: readonly Handle[], token?: Uint8Array): void {
  const socket = connectToServer(serverName);
  try {
    const hello = new Int32Array((HELLO + (token?.length ?? 0)) / 4);
    hello.set([MAGIC_LOW, MAGIC_HIGH, FORMAT_VERSION, handles.length]);
    const bytes = new Uint8Array(hello.buffer);
    if (token !== undefined) bytes.set(token, HELLO);
    const sent = sendMessage(
      socket.fd,
      bytes,
      handles.flatMap(handleFds).map((fd) => fd.fd),
    );
    if (isPeerGone(sent)) {
      throw new IpcError(
        "NotFound",
        `Cannot connect to "${serverName}": the server went away`,
        failureOf(sent, "sendmsg"),
      );
    }
    if (sent < 0) throw messageError(`Cannot connect to "${serverName}"`, sent, "sendmsg");
  } finally {
    socket.close();
  }
}

function connectToServer(name: string): UnixSocket {
  try {
    return UnixSocket.connect(name);
  } catch (error) {
    if (!(error instanceof IpcError) || error.code !== "NotFound" || isAbstract(name)) throw error;
    const status = fileStatus(name, true);
    if (status === undefined) {
      throw new IpcError(
        "NotFound",
        `Cannot connect to "${name}": there is no such file; start the server first, or give the path that it listens at`,
        { cause: error },
      );
    }
    if (status.socket) {
      throw new IpcError(
        "NotFound",
        `Cannot connect to "${name}": nobody listens there any more; the server has ended, start it again`,
        { cause: error },
      );
    }
    throw new IpcError(
      "Incompatible",
      `Cannot connect to "${name}": there is ${status.folder ? "a folder" : "a file"}, not a server; ` +
        "a named channel is opened by IpcSender.open() and IpcReceiver.create()",
      { cause: error },
    );
  }
}

/** Descriptors that a client may bring, and one more: by that it is known that it brings too many. */
export const HELLO_FDS = MOST_CHANNELS * HANDLE_FDS + 1;

/**
 * Reads what a client sent, without waiting.
 *
 * @param connection The accepted connection; stays the caller's.
 * @param kind What kind of server this is.
 * @param token What must follow the greeting, of a length that is a multiple of 4.
 * @returns The ends, or `undefined` if the client has not sent them yet.
 * @throws {IpcError} `Disconnected` if the client is gone, `Incompatible` or `Corrupt` if it is not one of ours; `System`
 * if this process has no room for its descriptors: nothing is lost then, see `isTableFull`.
 */
export function receiveHello(
  connection: UnixSocket,
  kind: ServerKind,
  token: Uint8Array = NO_TOKEN,
): Handle[] | undefined {
  const { channels } = kind;
  ensureRoomForFds(connection.fd, HELLO_FDS, "Cannot accept a client");
  const hello = new Int32Array((HELLO + token.length) / 4);
  // With the descriptors of another kind of client, too, so that it can be told what is wrong.
  const received = receiveMessage(connection.fd, new Uint8Array(hello.buffer), MOST_CHANNELS * HANDLE_FDS);
  if (typeof received === "number") {
    if (wouldWait(received)) return undefined;
    if (isPeerGone(received)) throw clientGone();
    throw messageError("Cannot accept a client", received, "recvmsg");
  }
  if (received.length === 0) throw clientGone();
  const problem = problemOf(hello, received.length, received.fds, kind, token);
  if (problem !== undefined) {
    closeAllForeign(received.fds);
    throw problem;
  }
  return Array.from(
    { length: channels },
    (_, i) => handleFrom(received.fds.slice(i * HANDLE_FDS, (i + 1) * HANDLE_FDS)),
  );
}

function problemOf(
  hello: Int32Array,
  length: number,
  fds: readonly IpcFd[],
  kind: ServerKind,
  token: Uint8Array,
): IpcError | undefined {
  if (length !== hello.byteLength || hello[0] !== MAGIC_LOW || hello[1] !== MAGIC_HIGH) {
    return new IpcError("Corrupt", "Cannot accept a client: what it sent is not an Isthmus handshake");
  }
  if (hello[2] !== FORMAT_VERSION) {
    return new IpcError(
      "Incompatible",
      `Cannot accept a client of format ${hello[2]}: this version of the package speaks format ${FORMAT_VERSION}`,
    );
  }
  if (!sameBytes(new Uint8Array(hello.buffer, HELLO), token)) {
    return new IpcError("Permission", "Cannot accept a client: the token that it sent is another");
  }
  const channels = hello[3]!;
  if (fds.length !== channels * HANDLE_FDS) {
    return new IpcError(
      "Incompatible",
      `Cannot accept a client: it brings ${channels} channels with ${fds.length} descriptors, and each takes ${HANDLE_FDS}`,
    );
  }
  if (channels !== kind.channels) {
    return wrongKind(kind, channels) ??
      new IpcError("Incompatible", `Cannot accept a client: it brings ${channels} channels, not ${kind.channels}`);
  }
  return undefined;
}

/** Takes the same time wherever they differ: the time tells nothing about the token. */
function sameBytes(found: Uint8Array, wanted: Uint8Array): boolean {
  let difference = 0;
  for (let i = 0; i < wanted.length; i++) difference |= found[i]! ^ wanted[i]!;
  return difference === 0;
}

function clientGone(): IpcError {
  return new IpcError("Disconnected", "Cannot accept a client: it went away before it had introduced itself");
}

/** Makes a channel and hands its receiving end to a one-shot server. */
export function connectChannel(serverName: string): SenderPort {
  requireKind(serverName, ONE_SHOT);
  const parts = createChannel(undefined);
  try {
    sendHello(serverName, [{ memory: parts.memory.fd, bell: parts.receiverBell, descriptors: parts.receiverSocket }]);
  } catch (error) {
    parts.memory.release();
    parts.senderBell.close();
    parts.senderSocket.close();
    throw error;
  } finally {
    parts.memory.release();
    parts.receiverBell.close();
    parts.receiverSocket.close();
  }
  return SenderPort.of(RingProducer.create(parts.memory, parts.senderBell, parts.senderSocket));
}

/**
 * Makes a channel each way and hands the far ends to a server.
 *
 * @param kind What kind of server it must be.
 * @param token What follows the greeting: see `channel/server/parent_name.ts`.
 */
export function connectDuplex(
  serverName: string,
  capacity: number | undefined,
  kind: ServerKind,
  token?: Uint8Array,
): [SenderPort, RingConsumer] {
  requireKind(serverName, kind);
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
      { memory: there.memory.fd, bell: there.receiverBell, descriptors: there.receiverSocket },
      { memory: back.memory.fd, bell: back.senderBell, descriptors: back.senderSocket },
    ], token);
  } catch (error) {
    closeParts(there);
    closeParts(back);
    throw error;
  }
  for (const { memory } of [there, back]) memory.release(); // the far ends' share
  for (const fd of [there.receiverBell, there.receiverSocket, back.senderBell, back.senderSocket]) fd.close();
  const receiver = RingConsumer.create(back.memory, back.receiverBell, back.receiverSocket);
  return [SenderPort.of(RingProducer.create(there.memory, there.senderBell, there.senderSocket)), receiver];
}

/** Closes a channel that nobody uses. */
function closeParts(parts: NewChannel): void {
  parts.memory.release();
  parts.memory.release();
  for (const fd of [parts.senderBell, parts.receiverBell, parts.senderSocket, parts.receiverSocket]) fd.close();
}
