// What `isthmus bench` measures, one function each: for a short time, after a shorter one that does not count.
import { IpcArc, u32 } from "../../../arc/mod.ts";
import { removeCell } from "../../../arc/inspect/mod.ts";
import { bytesChannel, channel, type IpcSender } from "../../../channel/mod.ts";
import { type Job, lockFor, type Way } from "./peer.ts";

/** Milliseconds. */
const WARM_UP = 80, MEASURED = 300;

/** Nothing here takes so long; if the second process does not answer, it never will. In milliseconds. */
const PATIENCE = { timeout: 20_000 };

/** Messages, or locks, between two looks at the clock; large messages take longer than a look. */
const BATCH = 64, LARGE = 65_536;

/** A value as programs send it. */
const VALUE = { id: 4711, name: "isthmus", tags: ["a", "b"], position: [1.5, -2.5], urgent: false };

/** What was measured. Figures that do not apply are left out. */
export interface Figures {
  /** Messages, or locks, in a second. */
  perSecond?: number;
  /** Bytes of payload in a second. */
  bytesPerSecond?: number;
  /** Half took no longer than this. */
  medianMicroseconds?: number;
  /** One in a hundred took longer than this. */
  p99Microseconds?: number;
}

/** One measurement. */
export interface Measurement {
  readonly what: "one way" | "round trip" | "lock";
  /** Of what: bytes a message, for example. */
  readonly of: string;
  readonly way: Way;
  readonly measure: (jobs: IpcSender<Job>) => Promise<Figures>;
}

const WAYS: readonly Way[] = ["sync", "async"];
const SIZES: readonly (readonly [text: string, bytes: number])[] = [["64 B", 64], ["4 KiB", 4096], ["1 MiB", 1 << 20]];
const OBJECT = "object";

/** All measurements, in their order. */
export const MEASUREMENTS: readonly Measurement[] = [
  ...[oneWay, roundTrip].flatMap((measure) =>
    WAYS.flatMap((way) =>
      [...SIZES, [OBJECT, undefined] as const].map(([of, bytes]): Measurement => ({
        what: measure === oneWay ? "one way" : "round trip",
        of,
        way,
        measure: (jobs) => measure(jobs, way, bytes),
      }))
    )
  ),
  ...WAYS.map((way): Measurement => ({
    what: "lock",
    of: "free",
    way,
    measure: (jobs) => freeLock(jobs, way),
  })),
  { what: "lock", of: "contended", way: "sync", measure: contendedLock },
];

/** What two channels for bytes and two for values have in common. */
type Sender = Pick<IpcSender<unknown>, "send" | "sendSync" | "close">;

/** A channel for messages of one kind, such a message, and a mark between them. */
function channelFor(bytes: number | undefined) {
  if (bytes === undefined) {
    const [sender, receiver] = channel<unknown>();
    return { sender, receiver, message: VALUE, mark: null };
  }
  const [sender, receiver] = bytesChannel();
  return { sender: sender as Sender, receiver, message: new Uint8Array(bytes), mark: new Uint8Array(0) };
}

async function oneWay(jobs: IpcSender<Job>, way: Way, bytes: number | undefined): Promise<Figures> {
  const { sender, receiver, message, mark } = channelFor(bytes);
  const [answering, answers] = channel<null>();
  try {
    await jobs.send({ kind: "take", way, from: receiver, answers: answering });
    answering.close();
    const flow = async (milliseconds: number): Promise<[count: number, milliseconds: number]> => {
      const begin = performance.now();
      const send = way === "sync" ? sendFor : sendForAsync;
      const count = await send(sender, message, milliseconds, (bytes ?? 0) < LARGE ? BATCH : 1);
      await sender.send(mark);
      await answers.recv(PATIENCE); // everything has arrived
      return [count, performance.now() - begin];
    };
    await flow(WARM_UP);
    const [count, took] = await flow(MEASURED);
    const perSecond = count / took * 1000;
    return { perSecond, ...(bytes === undefined ? {} : { bytesPerSecond: perSecond * bytes }) };
  } finally {
    sender.close(), answers.close();
  }
}

function sendFor(sender: Sender, message: unknown, milliseconds: number, batch: number): number {
  const until = performance.now() + milliseconds;
  for (let count = 0;; count++) {
    if (count % batch === 0 && performance.now() >= until) return count;
    sender.sendSync(message, PATIENCE);
  }
}

async function sendForAsync(sender: Sender, message: unknown, milliseconds: number, batch: number): Promise<number> {
  const until = performance.now() + milliseconds;
  for (let count = 0;; count++) {
    if (count % batch === 0 && performance.now() >= until) return count;
    await sender.send(message);
  }
}

async function roundTrip(jobs: IpcSender<Job>, way: Way, bytes: number | undefined): Promise<Figures> {
  const there = channelFor(bytes), back = channelFor(bytes);
  const { sender, message } = there, { receiver } = back;
  try {
    await jobs.send({ kind: "echo", way, from: there.receiver, to: back.sender as IpcSender<unknown> });
    back.sender.close();
    const turn = way === "sync"
      ? () => {
        sender.sendSync(message);
        receiver.recvSync(PATIENCE);
      }
      : async () => {
        await sender.send(message);
        await receiver.recv(PATIENCE);
      };
    await timesFor(turn, WARM_UP);
    return spread(await timesFor(turn, MEASURED));
  } finally {
    sender.close(), receiver.close();
  }
}

/** Does something for so long; returns how many milliseconds each time took. */
async function timesFor(act: () => void | Promise<void>, milliseconds: number): Promise<number[]> {
  const times: number[] = [];
  const until = performance.now() + milliseconds;
  for (let begin = performance.now(); begin < until;) {
    const acting = act();
    if (acting !== undefined) await acting;
    const end = performance.now();
    times.push(end - begin);
    begin = end;
  }
  return times;
}

function spread(milliseconds: number[]): Figures {
  const sorted = Float64Array.from(milliseconds).sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]! * 1000;
  return { medianMicroseconds: at(0.5), p99Microseconds: at(0.99) };
}

/** A cell that both processes hold, and what asks the second one to take its lock. Nothing is left of its name. */
async function sharedCell(jobs: IpcSender<Job>) {
  const cell = IpcArc.create<number>(`bench-${crypto.randomUUID()}`, 0, { layout: u32 });
  const [asks, asked] = channel<number>(), [answering, answers] = channel<number>();
  const close = () => {
    cell.close(), asks.close(), answers.close();
  };
  try {
    await jobs.send({ kind: "lock", cell: cell.name, from: asked, answers: answering });
    answering.close();
    await answers.recv(PATIENCE);
    removeCell(cell.name); // so that nothing is left if both are killed
    return { cell, asks, answers, [Symbol.dispose]: close };
  } catch (error) {
    close();
    throw error;
  }
}

async function freeLock(jobs: IpcSender<Job>, way: Way): Promise<Figures> {
  using shared = await sharedCell(jobs);
  const lock = way === "sync" ? lockFor : lockForAsync;
  await lock(shared.cell, WARM_UP);
  const begin = performance.now();
  const count = await lock(shared.cell, MEASURED);
  return { perSecond: count / (performance.now() - begin) * 1000 };
}

async function lockForAsync(cell: IpcArc<number>, milliseconds: number): Promise<number> {
  const until = performance.now() + milliseconds;
  for (let count = 0;; count++) {
    if (count % BATCH === 0 && performance.now() >= until) return count;
    (await cell.acquire()).release();
  }
}

async function contendedLock(jobs: IpcSender<Job>): Promise<Figures> {
  using shared = await sharedCell(jobs);
  let count = 0, begin = 0;
  for (const milliseconds of [WARM_UP, MEASURED]) {
    begin = performance.now();
    await shared.asks.send(milliseconds);
    count = lockFor(shared.cell, milliseconds);
    count += await shared.answers.recv(PATIENCE);
  }
  return { perSecond: count / (performance.now() - begin) * 1000 };
}
