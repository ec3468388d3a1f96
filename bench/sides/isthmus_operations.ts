// What one process does alone.
import { channel, IpcArc, IpcReceiverSet, type IpcSender } from "../../mod.ts";
import { measureSync } from "../harness/loop.mjs";
import type { Measurement, Workload } from "../harness/workload.ts";

/** Names of the operations, and what prepares each. */
const OPERATIONS: Record<string, () => () => void> = {
  "IpcArc: lock and unlock"() {
    const arc = IpcArc.create<unknown>(`bench-${crypto.randomUUID()}`, null);
    return () => arc.acquireSync().release();
  },
  "IpcArc: read a small object"() {
    const arc = IpcArc.create(`bench-${crypto.randomUUID()}`, { id: 1, name: "isthmus", ok: true, pos: [1.5, -2.25] });
    return () => arc.read();
  },
  "IpcArc: change a small object under the lock"() {
    const arc = IpcArc.create(`bench-${crypto.randomUUID()}`, { id: 1, name: "isthmus", ok: true, pos: [1.5, -2.25] });
    return () => {
      const guard = arc.acquireSync();
      guard.value.id++;
      guard.release();
    };
  },
  "create and close a channel": () => () => {
    const [sender, receiver] = channel<unknown>();
    sender.close();
    receiver.close();
  },
  // Channels are made at their first use: what that costs shows here.
  "create a channel, use it once and close it": () => () => {
    const [sender, receiver] = channel<number>();
    sender.sendSync(1);
    receiver.recvSync();
    sender.close();
    receiver.close();
  },
  "send and receive the sender of a new channel": () => {
    const [to, from] = channel<IpcSender<number>>();
    return () => {
      const [sender, receiver] = channel<number>();
      to.sendSync(sender);
      for (const end of [from.recvSync(), sender, receiver]) end.close();
    };
  },
  "send and receive an empty message": () => {
    const [sender, receiver] = channel<undefined>();
    return () => {
      sender.sendSync(undefined);
      receiver.recvSync();
    };
  },
  ...Object.fromEntries([1, 5, 20].map((count) => [`select from ${count} of 100 receivers`, () => {
    const set = new IpcReceiverSet();
    const senders = Array.from({ length: 100 }, () => {
      const [sender, receiver] = channel<number>({ capacity: 1 << 16 });
      set.add(receiver);
      return sender;
    });
    let first = 0;
    return () => {
      first = (first + 37) % 100;
      for (let i = 0; i < count; i++) senders[(first + i) % 100]!.sendSync(i);
      for (let received = 0; received < count;) received += set.selectSync().length;
    };
  }])),
  ...Object.fromEntries([0, 1, 8, 64].map((count) => [`send and receive a message with ${count} senders`, () => {
    const [sender, receiver] = channel<IpcSender<number>[]>();
    const cargo = Array.from({ length: count }, () => channel<number>()[0]);
    return () => {
      sender.sendSync(cargo);
      for (const each of receiver.recvSync()) each.close();
    };
  }])),
};

/** Names of all operations. */
export const OPERATION_NAMES: readonly string[] = Object.keys(OPERATIONS);

/** Measures the one that the workload names. */
export function measureOperation(workload: Workload): Measurement {
  const result = measureSync(workload, [], OPERATIONS[workload.name!]!());
  globalThis.dispatchEvent(new Event("unload")); // cells are removed as at the end of a program
  return result;
}
