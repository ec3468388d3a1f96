// What a hostile peer puts into the sockets of a channel without a ring.
import { assert } from "@std/assert";
import { IpcError } from "../../base/error.ts";
import { createChannel } from "../../channel/ring/handle.ts";
import { createDoorbell } from "../../ffi/event/doorbell.ts";
import { IpcFd } from "../../ffi/file/fd.ts";
import { libc } from "../../ffi/libc/libc.ts";
import { O_CLOEXEC, O_RDWR } from "../../ffi/libc/platform.ts";
import { socketPair } from "../../ffi/socket/new_socket.ts";
import { sendMessage } from "../../ffi/socket/socket_message.ts";
import { memoryFile } from "./forge.ts";

/** Kinds of packets. */
export const POST = 5, GROW = 6, BELL = 7, RING = 8;

/** Numbers of 4 bytes. */
export const words = (...all: number[]): Uint8Array<ArrayBuffer> => new Uint8Array(new Int32Array(all).buffer);

/** A packet with a body. */
export function packet(kind: number, count: number, body: Uint8Array = new Uint8Array(0)): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(...words(kind, 0, 0, count), ...body);
}

/** Sends bytes, and descriptors, which are closed. */
export function send(socket: IpcFd, data: Uint8Array, fds: readonly IpcFd[] = []): number {
  const sent = sendMessage(socket.fd, data, fds.map(({ fd }) => fd));
  for (const fd of fds) fd.close();
  return sent;
}

function open(path: string, flags: number): IpcFd {
  const fd = libc().c.open(new TextEncoder().encode(path + "\0"), flags | O_CLOEXEC, 0);
  if (fd < 0) throw new Error(`Cannot open ${path}`);
  return new IpcFd(fd);
}

/** Any descriptor but the one that is wanted. */
export const THINGS: Record<string, () => IpcFd> = {
  "a memory file": () => memoryFile(4096, 0),
  "the listening end of a pipe": () => {
    const [listen, ring] = createDoorbell();
    ring.close();
    return listen;
  },
  "the ringing end of a pipe": () => {
    const [listen, ring] = createDoorbell();
    listen.close();
    return ring;
  },
  "both ends of a pipe": () => {
    const [listen, ring] = createDoorbell();
    const both = open(`/proc/self/fd/${ring.fd}`, O_RDWR);
    listen.close(), ring.close();
    return both;
  },
  "a socket": () => {
    const [a, b] = socketPair("seqpacket");
    b.close();
    return a;
  },
  "a folder": () => open("/", 0),
};

/** The six descriptors of a ring as a sender sends it: the receiver's handle, then the sender's. */
export function growth(capacity = 65_536): IpcFd[] {
  const parts = createChannel(capacity), fd = parts.memory.fd;
  const fds = [
    fd.clone(),
    parts.receiverBell,
    parts.receiverSocket,
    fd.clone(),
    parts.senderBell,
    parts.senderSocket,
  ];
  parts.memory.release(), parts.memory.release();
  return fds;
}

/** Replaces one of them. */
export function withOther(fds: IpcFd[], place: number, other: IpcFd): IpcFd[] {
  fds[place]!.close();
  return fds.with(place, other);
}

/** The code of the error of an act; "none" if it succeeds. */
export async function codeOf(act: () => unknown): Promise<string> {
  try {
    await act();
    return "none";
  } catch (error) {
    assert(error instanceof IpcError, String(error));
    return error.code;
  }
}
