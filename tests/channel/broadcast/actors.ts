// Processes that publish and subscribe, and meet their end at a named step.
import { setStepHook } from "../../../base/step_hook.ts";
import { IpcBytesPublisher, IpcBytesSubscriber, IpcPublisher, IpcSubscriber } from "../../../mod.ts";
import type { Self } from "../../support/actor.ts";

/** This module, for starting its functions. */
export const ACTORS: string = import.meta.url;

/** A moment at which a process sends itself a signal. */
export interface End {
  readonly step: string;
  /** The how-manieth time that it is reached, from 1. */
  readonly occurrence: number;
  readonly signal: "SIGKILL" | "SIGSTOP";
}

function setEnd(end: End | undefined): void {
  let left = end?.occurrence ?? 0;
  if (end === undefined) return;
  setStepHook((step) => {
    if (step !== end.step || --left !== 0) return;
    if (end.signal === "SIGSTOP") setStepHook(undefined);
    Deno.kill(Deno.pid, end.signal);
  });
}

export interface PublishJob {
  readonly name: string;
  readonly from: string;
  readonly count: number;
  readonly capacity?: number;
  readonly end?: End;
  /** Waits to be told before each message. */
  readonly told?: boolean;
}

/** Publishes numbered messages, then says so, and ends without closing anything when it is told. */
export function publishNumbers({ name, from, count, capacity, end, told }: PublishJob, self: Self): void {
  setEnd(end);
  const publisher = IpcPublisher.open<[string, number]>(name, capacity === undefined ? {} : { capacity });
  self.say("ready");
  for (let n = 0; n < count; n++) {
    if (told) self.hear();
    publisher.publish([from, n]);
    if (told) self.say(n);
  }
  self.say("published");
  self.hear();
}

export interface OpenJob {
  readonly name: string;
  readonly end?: End;
}

/** Opens a topic, publishes a word, and closes it. */
export function openAndClose({ name, end }: OpenJob, self: Self): void {
  setEnd(end);
  const publisher = IpcPublisher.open<string>(name);
  publisher.publish("word");
  publisher.close();
  self.say("closed");
}

export interface SubscribeJob {
  readonly name: string;
  readonly from?: "new" | "oldest";
  readonly count: number;
  readonly way: "recv" | "recvSync" | "values";
}

/** Receives messages until it has so many, with those it has missed; says what it saw. */
export async function subscribeNumbers({ name, from, count, way }: SubscribeJob, self: Self): Promise<void> {
  using subscriber = IpcSubscriber.open<[string, number]>(name, from === undefined ? {} : { from });
  self.say("ready");
  const next: Record<string, number> = {};
  let received = 0, disorder = 0;
  const take = ([from, n]: [string, number]) => {
    if (n < (next[from] ?? 0)) disorder++;
    next[from] = n + 1;
    received++;
  };
  const done = () => received + subscriber.missed >= count;
  if (way === "values") {
    for await (const message of subscriber) {
      take(message);
      if (done()) break;
    }
  } else while (!done()) take(way === "recv" ? await subscriber.recv() : subscriber.recvSync());
  self.say({ received, missed: subscriber.missed, disorder, next });
}

/** Waits for a message that it does not get, until it is killed. */
export async function sleepAt({ name }: { name: string }, self: Self): Promise<void> {
  const subscriber = IpcSubscriber.open<unknown>(name);
  setTimeout(() => self.say("asleep"), 20);
  await subscriber.recv();
  self.say("awake");
  await subscriber.recv();
}

/** Says what it receives, message by message, by a wait that blocks or by one that does not. */
export async function listen({ name, blocks }: { name: string; blocks: boolean }, self: Self): Promise<void> {
  const subscriber = IpcSubscriber.open<unknown>(name);
  self.say("there");
  for (;;) self.say(blocks ? subscriber.recvSync() : await subscriber.recv());
}

export interface PatternJob {
  readonly name: string;
  readonly milliseconds: number;
  readonly seed: number;
}

/** Publishes bytes of all lengths, each message of one value, as fast as it can. */
export function publishPatterns({ name, milliseconds, seed }: PatternJob, self: Self): void {
  using publisher = IpcBytesPublisher.open(name);
  let state = seed, count = 0;
  self.say("ready");
  for (const until = performance.now() + milliseconds; performance.now() < until; count++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    publisher.publish(new Uint8Array(1 + state % (count % 20 === 0 ? 60_000 : 500)).fill(count));
  }
  self.say(count);
}

/** Longer than any of them: the last one. */
export const LAST_LENGTH = 61_000;

/** What {@linkcode checkPatterns} says. */
export interface Patterns {
  readonly received: number;
  readonly missed: number;
  /** Messages that were not of one value, and were not said to be overwritten. */
  readonly torn: number;
  readonly overwritten: number;
}

/** Reads them in every way until the last. */
export async function checkPatterns({ name }: { name: string }, self: Self): Promise<void> {
  using subscriber = IpcBytesSubscriber.open(name);
  self.say("ready");
  let received = 0, torn = 0, overwritten = 0;
  const check = (bytes: Uint8Array) => bytes.every((byte) => byte === bytes[0]);
  for (let last = false; !last; received++) {
    const way = received % 3;
    if (way < 2) {
      const bytes = way === 0 ? subscriber.recvSync() : await subscriber.recv();
      torn += check(bytes) ? 0 : 1;
      last = bytes.length === LAST_LENGTH;
      continue;
    }
    const borrowed = subscriber.borrowSync();
    const whole = check(borrowed.value);
    if (!borrowed.isIntact()) overwritten++;
    else if (!whole) torn++;
    last = borrowed.value.length === LAST_LENGTH;
    borrowed.release();
  }
  self.say({ received, missed: subscriber.missed, torn, overwritten });
}
