// Kills bridges again and again while messages pass, and checks every message at the far end.
import { IpcBytesReceiver, IpcBytesSender } from "../../../mod.ts";
import type { Bridge } from "./machines.ts";
import { PATIENCE } from "./machines.ts";

/** What was received. */
export interface Result {
  readonly received: number;
  readonly kills: number;
  readonly seconds: number;
}

/**
 * Sends numbered messages into channels, and receives them from another.
 *
 * @param count Messages of each sender, at least.
 * @param wanted Kills, at least.
 * @param every Milliseconds between two kills; the bridges take turns.
 * @throws {Error} If a message is missing, comes twice, or out of its sender's order.
 */
export async function passWithKills(
  from: readonly string[],
  to: string,
  count: number,
  bridges: readonly Bridge[],
  wanted: number,
  every: number,
): Promise<Result> {
  const began = performance.now();
  const senders = from.map((path) => IpcBytesSender.open(path)), receiver = IpcBytesReceiver.create(to);
  const stop = new AbortController();
  let kills = 0;
  const killing = (async () => {
    while (!stop.signal.aborted && bridges.length > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, every);
        stop.signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
      });
      if (stop.signal.aborted) return;
      const bridge = bridges[kills % bridges.length]!;
      await bridge.end("SIGKILL");
      kills++;
      await bridge.start();
    }
  })();
  const sending = Promise.all(senders.map(async (sender, who) => {
    let sent = 0;
    for (let i = 0; i < count || kills < wanted; i++) {
      const message = new Uint8Array(64);
      new DataView(message.buffer).setUint32(0, who, true);
      new DataView(message.buffer).setUint32(4, i, true);
      await sender.send(message, { signal: stop.signal });
      sent++;
    }
    return sent;
  }));
  let total: number | undefined;
  sending.then((sent) => total = sent.reduce((sum, n) => sum + n, 0), () => {});
  const next = senders.map(() => 0);
  let received = 0;
  try {
    while (received !== total) {
      const message = await receiver.recv({ timeout: PATIENCE });
      const view = new DataView(message.buffer, message.byteOffset);
      const who = view.getUint32(0, true), i = view.getUint32(4, true);
      if (next[who] !== i) {
        throw new Error(`Message ${i} of sender ${who} came where ${next[who]} was due, after ${kills} kills`);
      }
      next[who]++;
      received++;
    }
    await sending;
  } finally {
    stop.abort();
    await killing;
    for (const sender of senders) sender.close();
  }
  const left = receiver.recvMany().length;
  receiver.close();
  if (left > 0) throw new Error(`${left} messages came twice`);
  return { received, kills, seconds: (performance.now() - began) / 1000 };
}
