// Processes at the ends of a named channel, which share nothing but its path.
import { IpcReceiver, IpcSender } from "../../mod.ts";
import { W_BELL, W_SPACE } from "../../channel/ring/layout.ts";
import type { Self } from "./actor.ts";
import { setTrap, type Trap } from "./step_trap.ts";

/** This module, for starting its functions. */
export const NAMED: string = import.meta.url;

/** What the processes send: who, and the how-manieth of its messages. */
export type Message = [from: string, n: number];

/** So many messages of one sender, in their order. */
export const numbered = (from: string, count: number, first = 0): Message[] =>
  Array.from({ length: count }, (_, n) => [from, first + n]);

export interface SendJob {
  readonly path: string;
  readonly from: string;
  readonly count: number;
  readonly way: "send" | "sendSync" | "sendWhenEmpty";
  /** Behind the two, to make messages longer. */
  readonly filler?: string;
  /** Where it meets its end, if so. */
  readonly trap?: Trap;
}

/** Sends numbered messages, says so, and ends without closing anything. */
export async function sendNumbers({ path, from, count, way, filler, trap }: SendJob, self: Self): Promise<void> {
  const sender = IpcSender.open<[...Message, ...string[]]>(path);
  if (trap !== undefined) setTrap(trap);
  const more = filler === undefined ? [] : [filler];
  for (let n = 0; n < count; n++) await sender[way]([from, n, ...more]);
  self.say("sent");
}

/** Attaches anew for every message. */
export function sendComingAndGoing({ path, from, count }: Pick<SendJob, "path" | "from" | "count">, self: Self): void {
  for (let n = 0; n < count; n++) {
    using sender = IpcSender.open<Message>(path);
    sender.sendSync([from, n]);
  }
  self.say("sent");
}

export interface ReceiveJob {
  readonly path: string;
  readonly way: "recv" | "recvSync" | "borrow" | "borrowSync";
  /** How many. */
  readonly count: number;
  /** Kills itself after the first message, at the how-manieth place where that makes a difference to others. */
  readonly diesAt?: number;
  /** Kills itself with the last message borrowed. */
  readonly dieBorrowing?: boolean;
  /** Does nothing more after the last, until it is killed. */
  readonly stays?: boolean;
}

/** Receives messages and says each at once. */
export async function receiveNumbers(job: ReceiveJob, self: Self): Promise<void> {
  const receiver = IpcReceiver.create<Message>(job.path);
  self.say("ready");
  let place = () => {};
  for (let i = 0; i < job.count; i++) {
    place(); // what was received was told
    if (job.way === "recv" || job.way === "recvSync") {
      self.say(await receiver[job.way]());
    } else {
      const borrowed = await receiver[job.way]();
      self.say(borrowed.value);
      if (job.dieBorrowing && i === job.count - 1) Deno.kill(Deno.pid, "SIGKILL");
      borrowed.release();
    }
    if (i === 0 && job.diesAt !== undefined) place = dieAt(job.diesAt);
  }
  if (job.stays) self.hear();
  receiver.close();
}

/** What a process finds when it wants to receive: "ready", or the code of the error. Then waits to be told. */
export function tryToReceive({ path }: { path: string }, self: Self): void {
  try {
    const receiver = IpcReceiver.create<Message>(path);
    self.say("ready");
    self.hear();
    receiver.close();
  } catch (error) {
    self.say((error as { code: string }).code);
    self.hear();
  }
}

/** Holds both ends without waiting for anything, and ends without closing them. */
export function holdIdle({ path }: { path: string }, self: Self): void {
  const receiver = IpcReceiver.create<Message>(path), sender = IpcSender.open<Message>(path);
  sender.sendSync(["idle", 0]);
  sender.sendSync(["idle", 1]);
  self.say(receiver.recvSync());
}

/**
 * A process can be killed between any two instructions; between two that others can see is enough.
 *
 * @returns To be called at other places that count.
 */
function dieAt(left: number): () => void {
  const place = () => {
    if (--left === 0) Deno.kill(Deno.pid, "SIGKILL");
  };
  const all = Atomics as unknown as Record<string, (...args: unknown[]) => unknown>;
  for (const name of ["load", "store", "compareExchange"]) {
    const original = all[name]!;
    all[name] = (...args) => {
      place();
      return original(...args);
    };
  }
  return place;
}

/** Waits until somebody sleeps at the channel: its receiver for messages, or a sender for room. */
export async function asleep(path: string, who: "receiver" | "sender"): Promise<void> {
  const word = new Int32Array(1);
  using file = Deno.openSync(path);
  for (;;) {
    file.seekSync(4 * (who === "receiver" ? W_BELL : W_SPACE), Deno.SeekMode.Start);
    file.readSync(new Uint8Array(word.buffer));
    if (word[0]! > 0) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
