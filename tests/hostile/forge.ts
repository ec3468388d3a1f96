// What a hostile peer can make: memory files, rings, records, packets and greetings that are not what they should be.
//
// It has what any peer has: a copy of this code, and the descriptors of its end. Nothing here is used by honest parts of
// tests.
import { channel, type IpcReceiver, type IpcSender } from "../../mod.ts";
import { createChannel } from "../../channel/ring/handle.ts";
import {
  BLOCK_SHIFT,
  blocksFor,
  EXTENDED_HEADER,
  FORMAT_VERSION,
  MAGIC_HIGH,
  MAGIC_LOW,
  ringSize,
  W_BLOCKS,
  W_COMMIT,
  W_MAGIC,
  W_TAIL,
  W_VERSION,
} from "../../channel/ring/layout.ts";
import { RingMemory } from "../../channel/ring/memory.ts";
import { RingConsumer } from "../../channel/ring/consumer.ts";
import { RingProducer } from "../../channel/ring/producer.ts";
import { receiverFrom } from "../../channel/endpoint/receiver.ts";
import { senderFrom } from "../../channel/endpoint/sender.ts";
import { SenderPort } from "../../channel/endpoint/sender_port.ts";
import { IpcFd } from "../../ffi/file/fd.ts";
import { libc } from "../../ffi/libc/libc.ts";
import { Mapping } from "../../ffi/memory/mapping.ts";
import { F_ADD_SEALS, F_GETFL, F_SETFL, MFD_ALLOW_SEALING, MFD_CLOEXEC, O_NONBLOCK } from "../../ffi/libc/platform.ts";
import { sendMessage } from "../../ffi/socket/socket_message.ts";
import { UnixSocket } from "../../ffi/socket/unix_socket.ts";

/** Seals of a memory file, for {@linkcode memoryFile}. */
export const SEAL = 1, SHRINK = 2, GROW = 4, WRITE = 8, FUTURE_WRITE = 16;
/** What a ring carries. */
export const RING_SEALS = SEAL | SHRINK | GROW;
/** What the body of a message carries. */
export const BODY_SEALS = RING_SEALS | WRITE;

/** A memory file of any size, seals and beginning; sparse beyond that. */
export function memoryFile(size: number, seals: number, content: Uint8Array<ArrayBuffer> = new Uint8Array()): IpcFd {
  const { c } = libc();
  const fd = new IpcFd(c.memfd_create(new TextEncoder().encode("hostile\0"), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (content.length > 0) c.write(fd.fd, content, BigInt(content.length));
  if (c.ftruncate(fd.fd, BigInt(size)) !== 0) throw new Error(`No memory file of ${size} bytes`);
  if (seals !== 0 && c.fcntl(fd.fd, F_ADD_SEALS, seals) !== 0) throw new Error(`No seals ${seals}`);
  return fd;
}

/** The memory of a ring, and what is changed in its header. */
export function ringFile(blocks: number, change: (words: Int32Array) => void = () => {}, seals = RING_SEALS): IpcFd {
  const fd = memoryFile(ringSize(blocks), 0);
  const mapping = Mapping.shared(fd.fd, 4096);
  const words = new Int32Array(mapping.buffer);
  words[W_MAGIC] = MAGIC_LOW, words[W_MAGIC + 1] = MAGIC_HIGH;
  words[W_VERSION] = FORMAT_VERSION, words[W_BLOCKS] = blocks;
  change(words);
  mapping.unmap();
  if (seals !== 0) libc().c.fcntl(fd.fd, F_ADD_SEALS, seals);
  return fd;
}

/** Takes O_NONBLOCK away, for all who share the open file. */
export function makeBlocking(fd: number): void {
  const { c } = libc();
  c.fcntl(fd, F_SETFL, c.fcntl(fd, F_GETFL, 0) & ~O_NONBLOCK);
}

/** The descriptors of a channel as they are: what every peer of it holds. Travels in a message. */
export interface RawChannel {
  /** The ring's memory file. */
  readonly ring: IpcFd;
  /** The write end of the doorbell, and its read end, which who made the channel may have kept. */
  readonly bell: IpcFd;
  readonly listen: IpcFd;
  /** The senders' end of the socket for descriptors. */
  readonly socket: IpcFd;
}

/** A channel of which a hostile peer gets the descriptors. */
export interface Victim<T> {
  readonly sender: IpcSender<T>;
  readonly receiver: IpcReceiver<T>;
  /** For the hostile peer. */
  readonly raw: RawChannel;
  close(): void;
}

/** An honest channel, and copies of its descriptors for a hostile peer. */
export function victim<T>(capacity = 65_536): Victim<T> {
  const parts = createChannel(capacity);
  const raw = {
    ring: parts.memory.fd.clone(),
    bell: parts.senderBell.clone(),
    listen: parts.receiverBell.clone(),
    socket: parts.senderSocket.clone(),
  };
  const port = SenderPort.of(RingProducer.create(parts.memory, parts.senderBell, parts.senderSocket));
  const sender = senderFrom<T>(port);
  const receiver = receiverFrom<T>(RingConsumer.create(parts.memory, parts.receiverBell, parts.receiverSocket));
  const close = () => {
    sender.close(), receiver.close();
    for (const fd of Object.values(raw)) fd.close();
  };
  return { sender, receiver, raw, close };
}

/** Kinds of packets on the socket for descriptors. */
export const MESSAGE = 1, SPACE_BELL = 2, BUNDLE = 3, PACKED = 4;
/** Flags of extended records. */
export const DESCRIPTORS = 1, OUT_OF_LINE = 2;

/** The fields of an extended record's header. */
export interface Header {
  flags: number;
  slot: number;
  counter: number;
  count: number;
  length: number;
}

/** A hostile sender: writes whatever it likes into the ring and the socket of a channel. */
export class HostilePeer {
  readonly memory: RingMemory;
  readonly words: Int32Array<ArrayBuffer>;
  readonly data: Uint8Array<ArrayBuffer>;
  readonly #raw: RawChannel;
  #counter = 0;

  constructor(raw: RawChannel) {
    this.#raw = raw;
    this.memory = RingMemory.attach(raw.ring.clone());
    this.words = this.memory.words;
    this.data = this.memory.data;
  }

  /** Claims blocks without a note of it, and without a look whether there is room. Returns the position. */
  claim(blocks: number): number {
    return Atomics.add(this.words, W_TAIL, blocks);
  }

  /** Writes the commit word of a position. */
  commit(position: number, word: number): void {
    Atomics.store(this.words, W_COMMIT + (position & (this.memory.blocks - 1)), word);
  }

  /** A record of any payload, whose commit word says whatever is wanted: by default what is right. */
  record(payload: Uint8Array, word: number = payload.length + 1): void {
    const position = this.claim(blocksFor(payload.length));
    this.data.set(payload, (position & (this.memory.blocks - 1)) << BLOCK_SHIFT);
    this.commit(position, word);
  }

  /** An extended record with any header. */
  extended(header: Partial<Header>, payload: Uint8Array = new Uint8Array()): void {
    const size = EXTENDED_HEADER + payload.length;
    const position = this.claim(blocksFor(size));
    const at = (position & (this.memory.blocks - 1)) << BLOCK_SHIFT;
    const { flags = 0, slot = 1024, counter = 0, count = 0, length = payload.length } = header;
    const fields = [flags, slot, counter, count, length >>> 0, Math.floor(length / 2 ** 32)];
    this.memory.dataWords.set(fields.map((field) => field | 0), at >>> 2);
    this.data.set(payload, at + EXTENDED_HEADER);
    this.commit(position, -2 * size);
  }

  /** A message whose body is in a file, with whatever length it is said to have. */
  outOfLine(body: number, length: number): void {
    const counter = this.#counter++, slot = 1024 + 16 * 1000;
    this.packet(MESSAGE, slot, counter, 1, [body]);
    this.extended({ flags: DESCRIPTORS | OUT_OF_LINE, slot, counter, count: 1, length });
  }

  /** A packet on the socket for descriptors; `false` if its queue is full. */
  packet(kind: number, slot: number, counter: number, count: number, fds: readonly number[]): boolean {
    return this.bytes(new Uint8Array(new Int32Array([kind, slot, counter, count]).buffer), fds);
  }

  /** Any bytes on that socket. */
  bytes(data: Uint8Array, fds: readonly number[] = []): boolean {
    return sendMessage(this.#raw.socket.fd, data, fds) >= 0;
  }

  /** Rings the doorbell. */
  ringBell(bytes = 1): void {
    libc().c.write(this.#raw.bell.fd, new Uint8Array(bytes), BigInt(bytes));
  }

  /** Lets go of the write end of the doorbell: to the receiver all senders are gone, while this one writes on. */
  hangUp(): void {
    this.#raw.bell.close();
  }

  close(): void {
    this.memory.release();
    for (const fd of Object.values(this.#raw)) (fd as IpcFd).close();
  }
}

/** "ISTHHELO", as two little-endian words. */
const HELLO = [0x48545349, 0x4f4c4548] as const;

/** A connection to a server that says nothing yet; the kernel holds it whatever the server does. */
export function connectSilently(name: string): UnixSocket {
  return UnixSocket.connect(name);
}

/** Sends a greeting, right unless something else is asked for, with any descriptors. */
export function greet(
  connection: UnixSocket,
  fds: readonly number[],
  { magic = HELLO as readonly number[], version = FORMAT_VERSION, channels = 2 } = {},
): boolean {
  return sendMessage(connection.fd, new Uint8Array(new Int32Array([...magic, version, channels]).buffer), fds) >= 0;
}

/** Two more ends of an honest kind, for what a message carries. */
export function spareEnds(): { sender: IpcSender<unknown>; receiver: IpcReceiver<unknown> } {
  const [sender, receiver] = channel<unknown>({ capacity: 65_536 });
  return { sender, receiver };
}
