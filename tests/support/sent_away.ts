// Channels whose sender was sent away before anything else was done with them: they begin without a ring.
import {
  bytesChannel,
  channel,
  type ChannelOptions,
  type IpcBytesReceiver,
  type IpcBytesSender,
  type IpcReceiver,
  type IpcSender,
} from "../../mod.ts";
import { descriptorsOf } from "./leftovers.ts";

/** Such a channel; who has got the sender is this isolate again. */
export interface SentAway<Sender, Receiver> extends Disposable {
  /** The sender as it came, in a message. */
  readonly there: Sender;
  /** The one that stayed. */
  readonly here: Sender;
  readonly receiver: Receiver;
}

/** Sends a value through a channel of its own, to this isolate. */
export function passed<T>(value: T): T {
  const ends = channel<T>();
  using to = ends[0], from = ends[1];
  to.sendSync(value);
  return from.recvSync({ timeout: 0 });
}

function sentAwayOf<Sender extends Disposable, Receiver extends Disposable>(
  [here, receiver]: [Sender, Receiver],
): SentAway<Sender, Receiver> {
  const { sender: there } = passed({ sender: here });
  return {
    there,
    here,
    receiver,
    [Symbol.dispose]() {
      for (const end of [there, here, receiver]) end[Symbol.dispose]();
    },
  };
}

/** One for values. */
export function sentAway<T>(options?: ChannelOptions): SentAway<IpcSender<T>, IpcReceiver<T>> {
  return sentAwayOf(channel<T>(options));
}

/** One for bytes. */
export function bytesSentAway(options?: ChannelOptions): SentAway<IpcBytesSender, IpcBytesReceiver> {
  return sentAwayOf(bytesChannel(options));
}

/** How many descriptors of rings this process has: a channel without a ring adds none. */
export function ringsOpen(): number {
  return descriptorsOf("self").filter((link) => link.includes("isthmus-ring")).length;
}

/** Lets the event loop have its turn, so that who waits does so by it. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

/** Calls something so many times. */
export async function times<T>(count: number, act: () => T | Promise<T>): Promise<T[]> {
  const results: T[] = [];
  while (results.length < count) results.push(await act());
  return results;
}
