// Processes that send numbered messages: one that meets its end or a stop at a step, one that goes on.
import type { IpcReceiver, IpcSender } from "../../mod.ts";
import type { Self } from "./actor.ts";
import { patience } from "./patience.ts";
import { setTrap, type Trap } from "./step_trap.ts";

/** This module, for starting its functions. */
export const SENDERS: string = import.meta.url;

/** What they send; `extra` may be an endpoint, or big. */
export type Numbered = [from: string, n: number, extra?: unknown];

/** What a message has besides its number. */
export type Extra = "nothing" | "endpoint" | "more than the ring holds";

export interface VictimJob {
  readonly sender: IpcSender<Numbered>;
  readonly trap: Trap;
  readonly extra: Extra;
  readonly count: number;
}

/** Sends `count` messages, and is killed or stopped on the way. */
export function victim({ sender, trap, extra, count }: VictimJob, self: Self): void {
  // For a ring the receiver has to be asleep: before the claim, and again before the commit, as the claim has woken it.
  // It gets the time to fall asleep, and more the next time if that was not enough.
  let n = 0;
  const letSleep = () => {
    if (trap.step === "ringing" && !sprung()) pause(patience(Math.min(20 * 2 ** n, 1000)));
  };
  const sprung = setTrap(trap, (step) => {
    if (step === "copied") letSleep();
  });
  for (; n < count; n++) {
    sender.sendSync(["victim", n, extraOf(extra, sender)]);
    letSleep();
  }
  self.say("survived");
  sender.close();
}

function pause(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

function extraOf(extra: Extra, sender: IpcSender<Numbered>): unknown {
  if (extra === "nothing") return null;
  return extra === "endpoint" ? sender : new Uint8Array(100_000);
}

/** Sends as many messages as it is told to, again and again, until it is told 0. */
export function bystander({ sender }: { sender: IpcSender<Numbered> }, self: Self): void {
  let n = 0;
  for (let more = self.hear<number>(); more > 0; more = self.hear<number>()) {
    for (let i = 0; i < more; i++) sender.sendSync(["bystander", n++]);
    self.say(n);
  }
  sender.close();
}

/** Receives in one of the ways there are. */
export type Receive = (receiver: IpcReceiver<Numbered>, timeout: number) => Promise<Numbered>;

/** The ways of receiving, by their names. */
export const RECEIVE: Record<string, Receive> = {
  "recv()": (receiver, timeout) => receiver.recv({ timeout }),
  // deno-lint-ignore require-await -- a promise as the other way returns one
  "recvSync()": async (receiver, timeout) => receiver.recvSync({ timeout }),
};

/** Receives one, and closes the endpoint that may be in it. */
export async function receiveFrom(receive: Receive, receiver: IpcReceiver<Numbered>, timeout: number) {
  const [from, n, extra] = await receive(receiver, timeout);
  if (typeof extra === "object" && extra !== null && "close" in extra) (extra as IpcSender<Numbered>).close();
  return [from, n] as const;
}
