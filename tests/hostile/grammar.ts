// The grammar of a hostile peer: one step is one thing that it may do with what it holds, chosen by a seeded number.
import { paddingWord, W_BELL, W_HEAD, W_READ, W_SPACE, W_TAIL } from "../../channel/ring/layout.ts";
import { encodeCbor } from "../../cbor/mod.ts";
import { createDoorbell } from "../../ffi/event/doorbell.ts";
import { IpcFd } from "../../ffi/file/fd.ts";
import { libc } from "../../ffi/libc/libc.ts";
import { writeMemoryFile } from "../../ffi/memory/memory_file.ts";
import { O_CLOEXEC, O_RDONLY } from "../../ffi/libc/platform.ts";
import { damage } from "../support/damage.ts";
import type { Random } from "../support/open_channel.ts";
import {
  BODY_SEALS,
  BUNDLE,
  connectSilently,
  DESCRIPTORS,
  greet,
  HostilePeer,
  memoryFile,
  MESSAGE,
  OUT_OF_LINE,
  PACKED,
  type RawChannel,
  ringFile,
  SPACE_BELL,
} from "./forge.ts";

/** What it has to send, made once. */
class Things {
  readonly pair = createDoorbell();
  readonly ring = ringFile(1024);
  readonly body = writeMemoryFile("body", [new Uint8Array(5000)], 5000);
  readonly sparse = memoryFile(1 << 30, BODY_SEALS);
  readonly device = new IpcFd(libc().c.open(new TextEncoder().encode("/dev/zero\0"), O_RDONLY | O_CLOEXEC, 0));

  any(random: Random): number {
    return random.of([...this.pair, this.ring, this.body, this.sparse, this.device]).fd;
  }

  many(random: Random, count: number): number[] {
    return Array.from({ length: count }, () => this.any(random));
  }

  close(): void {
    for (const fd of [...this.pair, this.ring, this.body, this.sparse, this.device]) fd.close();
  }
}

/** Counts that are more likely to do harm than others. */
const COUNTS = [0, 1, 2, 3, 4, 252, 253, 254, 65_536, 65_537, 0x7fffffff, -1, -0x80000000];
const LENGTHS = [0, 1, 31, 32, 33, 5000, 5001, 65_536, 1 << 30, 2 ** 31, 2 ** 40, 2 ** 53, -1];

const KINDS = [
  "sender",
  "receiver",
  "bytes-sender",
  "bytes-receiver",
  "opaque-sender",
  "duplex",
  "shared-memory",
  "fd",
];

/** A hostile end of one channel. */
export class HostileEnd {
  readonly #peer: HostilePeer;
  readonly #random: Random;
  readonly #things = new Things();
  #counter = 0;

  constructor(raw: RawChannel, random: Random) {
    this.#peer = new HostilePeer(raw);
    this.#random = random;
  }

  /** Does one thing. */
  step(): void {
    const random = this.#random;
    const act = random.below(16);
    if (act < 3) damage(this.#peer.memory, random);
    else if (act < 5) this.#words();
    else if (act < 7) this.#record();
    else if (act < 9) this.#extended();
    else if (act < 10) this.#body();
    else if (act < 12) this.#traveller();
    else if (act < 14) this.#packet();
    else if (act < 15) this.#peer.bytes(this.#junk(20), this.#things.many(random, random.of([0, 0, 1, 5])));
    else this.#peer.ringBell(random.of([1, 100, 4096]));
  }

  close(): void {
    this.#peer.close();
    this.#things.close();
  }

  #junk(most: number): Uint8Array<ArrayBuffer> {
    return Uint8Array.from({ length: 1 + this.#random.below(most) }, () => this.#random.below(256));
  }

  /** What both sides go by. */
  #words(): void {
    const { words, memory } = this.#peer, random = this.#random;
    const head = Atomics.load(words, W_HEAD);
    random.of([
      () => Atomics.store(words, W_TAIL, head),
      () => Atomics.store(words, W_TAIL, (head + memory.blocks) | 0),
      () => Atomics.add(words, W_TAIL, random.below(memory.blocks)),
      () => Atomics.store(words, W_BELL, random.of([0, 1, 5, 0x3fffffff])),
      () => Atomics.store(words, W_SPACE, random.below(3)),
      () => Atomics.store(words, W_READ, head + random.below(2000)),
      () => {
        for (let i = 0; i < 50; i++) this.#peer.commit(head + i, paddingWord(1 + random.below(3)));
      },
    ])();
  }

  #record(): void {
    const payload = this.#random.of([
      () => this.#junk(200),
      () => new Uint8Array(encodeCbor({ n: this.#random.below(9), text: "x".repeat(this.#random.below(99)) })),
      () => new Uint8Array(3000),
    ])();
    const word = this.#random.of([
      payload.length + 1,
      payload.length + 1,
      payload.length + 500,
      -payload.length,
      1 << 30,
    ]);
    this.#peer.record(payload, word);
  }

  #extended(): void {
    const random = this.#random;
    const slot = 1024 + 16 * random.below(1024), counter = this.#counter++, count = random.of(COUNTS);
    if (random.below(2) === 0) {
      const sent = Math.max(0, Math.min(count, 3));
      this.#peer.packet(MESSAGE, slot, counter, sent, this.#things.many(random, sent));
    }
    const flags = random.of([0, DESCRIPTORS, OUT_OF_LINE, DESCRIPTORS | OUT_OF_LINE, -1]);
    this.#peer.extended({ flags, slot, counter, count, length: random.of(LENGTHS) }, this.#junk(100));
  }

  #body(): void {
    this.#peer.outOfLine(this.#things.any(this.#random), this.#random.of(LENGTHS));
  }

  /** A message with an endpoint whose descriptors are something else, or nearly right. */
  #traveller(): void {
    const random = this.#random, things = this.#things;
    const kind = random.of(KINDS), fds = random.below(7);
    const details = random.of([[], [1], [[0, 0, 1]], [[0, 0, 1, 5]], [{}], ["x"]]);
    const inner = new Uint8Array(encodeCbor(["isthmus", kind, random.of([0, 0, 0, 1, 5, -1]), ...details]));
    const payload = Uint8Array.of(0xd8, 27, ...inner);
    const slot = 1024 + 16 * 7, counter = this.#counter++;
    const right = [things.ring.fd, things.pair[random.below(2)]!.fd, things.device.fd];
    const sent = fds === 3 ? right : things.many(random, fds);
    this.#peer.packet(MESSAGE, slot, counter, fds, sent);
    this.#peer.extended({ flags: DESCRIPTORS, slot, counter, count: fds }, payload);
  }

  #packet(): void {
    const random = this.#random;
    const kind = random.of([MESSAGE, SPACE_BELL, SPACE_BELL, BUNDLE, PACKED, 77]);
    const count = random.of(COUNTS), fds = random.of([Math.max(0, Math.min(count, 4)), random.below(4)]);
    this.#peer.packet(kind, 1024 + 16 * random.below(1024), random.below(50), count, this.#things.many(random, fds));
  }
}

/** Connects to a server and says something. */
export function greetWrongly(name: string, random: Random): void {
  using connection = connectSilently(name);
  const [listen, bell] = createDoorbell();
  const fds = Array.from({ length: random.of([0, 1, 3, 6, 6, 253]) }, () => random.of([listen, bell]).fd);
  random.of([
    () => {},
    () => void greet(connection, fds),
    () => void greet(connection, fds, { channels: random.of([0, 1, 2, 3, -1, 0x7fffffff]) }),
    () => void greet(connection, fds, { version: random.below(9) }),
    () => void greet(connection, fds, { magic: [random.below(1e9), 7] }),
  ])();
  listen.close(), bell.close();
}
