// Processes that write into a channel as fast as they can, each in a way of its own.
import { paddingWord, W_COMMIT, W_HEAD, W_SLOTS, W_SPACE, W_TAIL } from "../../channel/ring/layout.ts";
import { createDoorbell } from "../../ffi/event/doorbell.ts";
import type { Self } from "../support/actor.ts";
import { damage } from "../support/damage.ts";
import { Random } from "../support/open_channel.ts";
import { BUNDLE, HostilePeer, MESSAGE, type RawChannel, SPACE_BELL } from "./forge.ts";

/** What a scribbler does over and over. */
export type Way = keyof typeof WAYS;

interface Work {
  readonly peer: HostilePeer;
  readonly random: Random;
  /** Descriptors to send along. */
  readonly bell: number;
}

/** Claims as much as there is. */
function runAhead({ words, memory }: HostilePeer): void {
  Atomics.store(words, W_TAIL, (Atomics.load(words, W_HEAD) + memory.blocks) | 0);
}

export const WAYS = {
  "padding everywhere"({ peer }: Work): void {
    peer.words.fill(paddingWord(1), W_COMMIT, W_COMMIT + peer.memory.blocks);
    runAhead(peer);
  },
  "padding everywhere, and a sender that waits for room"({ peer }: Work): void {
    peer.words.fill(paddingWord(1), W_COMMIT, W_COMMIT + peer.memory.blocks);
    Atomics.store(peer.words, W_SPACE, 1);
    runAhead(peer);
  },
  "claims without an end, and no sender left"({ peer }: Work): void {
    peer.hangUp();
    runAhead(peer);
  },
  "padding and claims in turn"({ peer, random }: Work): void {
    for (let i = 0; i < 100; i++) {
      peer.words[W_COMMIT + random.below(peer.memory.blocks)] = random.of([0, paddingWord(1), paddingWord(2)]);
    }
    runAhead(peer);
  },
  "a note in every slot"({ peer, random }: Work): void {
    const head = Atomics.load(peer.words, W_HEAD);
    for (let slot = 0; slot < 1024; slot++) {
      const at = W_SLOTS + 16 * slot;
      peer.words.set([1 + random.below(300), random.below(1e9), peer.words[4]!, 1, head + slot % 7, 1], at);
    }
    runAhead(peer);
  },
  "packets without descriptors"({ peer }: Work): void {
    peer.extended({ flags: 1, counter: 7, count: 1 });
    for (let i = 0; i < 500; i++) peer.packet(MESSAGE, 1024, 0, 0, []);
  },
  "packets of records that never come"({ peer, random, bell }: Work): void {
    peer.extended({ flags: 1, slot: 2048, counter: 7, count: 1 });
    for (let i = 0; i < 100; i++) {
      peer.packet(MESSAGE, 1024 + 16 * random.below(1024), random.below(1000), 1, [bell]);
    }
  },
  "space bells"({ peer, bell }: Work): void {
    peer.packet(SPACE_BELL, 0, 0, 1, [bell]);
    Atomics.store(peer.words, W_SPACE, 1);
  },
  "bundles of nothing"({ peer, random, bell }: Work): void {
    peer.packet(BUNDLE, 1024 + 16 * random.below(1024), 0, 65_536, [bell]);
  },
  "records whose descriptors are something else"({ peer, bell, random }: Work): void {
    peer.packet(MESSAGE, 1024, random.below(100), 1, [bell]);
    peer.extended({ flags: 1 + random.below(3), counter: random.below(100), count: 1 + random.below(2) });
  },
  "rings of the doorbell"({ peer }: Work): void {
    peer.ringBell(4096);
  },
  "damage of every kind"({ peer, random }: Work): void {
    for (let i = 0; i < 50; i++) damage(peer.memory, random);
  },
} satisfies Record<string, (work: Work) => void>;

/** Does one of them until it is killed, or so many times. */
export function scribble({ raw, way, seed, times }: Job, self: Self): void {
  const peer = new HostilePeer(raw), random = new Random(seed);
  const [listen, bell] = createDoorbell();
  const act = WAYS[way] as (work: Work) => void;
  self.say();
  for (let i = 0; i < times; i++) act({ peer, random, bell: bell.fd });
  peer.close(), listen.close(), bell.close();
  self.say();
}

/** For {@linkcode scribble}. */
export interface Job {
  readonly raw: RawChannel;
  readonly way: Way;
  readonly seed: number;
  readonly times: number;
}
