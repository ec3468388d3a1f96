// The second process of `isthmus bench`: takes what the first sends, or sends it back, or wants the same lock.
import { IpcArc, u32 } from "../../../arc/mod.ts";
import {
  channel,
  type IpcBytesReceiver,
  type IpcBytesSender,
  type IpcReceiver,
  IpcSender,
} from "../../../channel/mod.ts";
import { IpcError } from "../../../base/error.ts";
import type { Command } from "../../program/command.ts";

/** The name of the command. */
export const BENCH_PEER = "bench-peer";

/** Blocking calls, or awaited ones. */
export type Way = "sync" | "async";

/** What the second process is asked to do. Each ends when the first process closes its end of the channel. */
export type Job =
  /** Receive; answer each mark: an empty message, or null. */
  | { kind: "take"; way: Way; from: IpcBytesReceiver | IpcReceiver<unknown>; answers: IpcSender<null> }
  /** Send back what comes. */
  | { kind: "echo"; way: Way; from: IpcBytesReceiver | IpcReceiver<unknown>; to: IpcBytesSender | IpcSender<unknown> }
  /** Hold a cell, and take its lock again and again for as many milliseconds as come; answer how often that was. */
  | { kind: "lock"; cell: string; from: IpcReceiver<number>; answers: IpcSender<number> };

/** The command that the second process runs. */
export const benchPeer: Command = {
  name: BENCH_PEER,
  summary: "The second process of bench",
  operands: ["SERVER"],
  examples: [],
  hidden: true,
  async run({ operands }): Promise<number> {
    const [sender, jobs] = channel<Job>();
    using server = IpcSender.connect<IpcSender<Job>>(operands[0]!);
    await server.send(sender);
    sender.close();
    for await (const job of jobs) await untilTheEnd(() => work(job));
    jobs.close();
    return 0;
  },
};

async function untilTheEnd(act: () => void | Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof IpcError && error.code === "Disconnected")) throw error;
  }
}

async function work(job: Job): Promise<void> {
  using from = job.from;
  if (job.kind === "lock") {
    using answers = job.answers;
    using cell = IpcArc.load<number>(job.cell, { layout: u32 });
    answers.sendSync(0); // it is held
    for (;;) answers.sendSync(lockFor(cell, (from as IpcReceiver<number>).recvSync()));
  }
  if (job.kind === "take") {
    using answers = job.answers;
    if (job.way === "sync") takeSync(from, answers);
    else await takeAsync(from, answers);
  } else {
    using to = job.to;
    if (job.way === "sync") echoSync(from, to as IpcSender<unknown>);
    else await echoAsync(from, to as IpcSender<unknown>);
  }
}

type Receiver = IpcBytesReceiver | IpcReceiver<unknown>;

function takeSync(from: Receiver, answers: IpcSender<null>): never {
  for (;;) if (isMark(from.recvSync())) answers.sendSync(null);
}

async function takeAsync(from: Receiver, answers: IpcSender<null>): Promise<never> {
  for (;;) if (isMark(await from.recv())) await answers.send(null);
}

function echoSync(from: Receiver, to: IpcSender<unknown>): never {
  for (;;) to.sendSync(from.recvSync());
}

async function echoAsync(from: Receiver, to: IpcSender<unknown>): Promise<never> {
  for (;;) await to.send(await from.recv());
}

function isMark(message: unknown): boolean {
  return message === null || (message instanceof Uint8Array && message.length === 0);
}

/** Takes the lock and gives it back for so many milliseconds; returns how often. */
export function lockFor(cell: IpcArc<number>, milliseconds: number): number {
  const until = performance.now() + milliseconds;
  for (let count = 0;; count++) {
    if (count % 64 === 0 && performance.now() >= until) return count;
    cell.acquireSync().release();
  }
}
