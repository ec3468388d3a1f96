// What is compared. Each row is one loop; most run in one process, where two revisions can be told apart by a few percent.
import {
  type Borrowed,
  bytesChannel,
  channel,
  f64,
  IpcArc,
  type IpcBytesReceiver,
  type IpcBytesSender,
  type IpcReceiver,
  type IpcSender,
  type Loan,
  struct,
  u32,
} from "../../mod.ts";
import { type SmallObject, smallObject, type YuvFrame, yuvFrame } from "../harness/payloads.ts";

/** A sender or a receiver, typed or of bytes. */
export type Sender = IpcSender<unknown> | IpcBytesSender;
export type Receiver = IpcReceiver<unknown> | IpcBytesReceiver;

/** What the other process of a row gets. */
export interface Setup {
  readonly to?: Sender;
  readonly from?: Receiver;
}

/** A request that brings its own channel for the answer. */
interface Request {
  reply: IpcSender<number>;
}

/** One loop, ready to run. */
export interface Loop {
  /** Runs `count` operations and returns the milliseconds that count. */
  run(count: number): number | Promise<number>;
  /** What another process must be given first, if the row has one. */
  readonly setup?: Setup;
}

/** What the other process does, until it is killed. */
export type Partner = (setup: Setup) => void | Promise<void>;

/** One row of the comparison. */
export interface Row {
  prepare(): Loop;
  readonly partner?: Partner;
}

const SIZE = 64;
/** Sizes of messages in place: below 1 KiB they are copies. */
const IN_PLACE = [
  ["64 B", 64],
  ["1 KiB", 1 << 10],
  ["16 KiB", 16 << 10],
  ["64 KiB", 64 << 10],
  ["1 MiB", 1 << 20],
] as const;
/** Messages that are sent before they are received, in rows that measure only one of the two. */
const BATCH = 256;
/** What was received, so that no compiler can leave the reading out. */
let sum = 0;

function timed(operation: () => void): Loop {
  return {
    run(count) {
      const begin = performance.now();
      for (let i = 0; i < count; i++) operation();
      return performance.now() - begin;
    },
  };
}

function look(bytes: Uint8Array): void {
  sum += bytes[0]! + bytes[bytes.length - 1]!;
}

function lookAtObject({ id, pos }: SmallObject): void {
  sum += id + pos[0] + pos[1];
}

/** Sends and receives in turns in one process, and counts the time of one of the two. */
function half<Value>(
  [sender, receiver]: [IpcSender<Value>, IpcReceiver<Value>],
  make: (n: number) => Value,
  counted: "send" | "receive",
  see: (value: Value) => void,
): Loop {
  return {
    run(count) {
      let took = 0;
      for (let done = 0; done < count; done += BATCH) {
        const size = Math.min(BATCH, count - done);
        const begin = performance.now();
        for (let i = 0; i < size; i++) sender.sendSync(make(i));
        const middle = performance.now();
        for (let i = 0; i < size; i++) see(receiver.recvSync());
        took += counted === "send" ? middle - begin : performance.now() - middle;
      }
      return took;
    },
  };
}

function lookAtFrame({ width, vPixels }: YuvFrame): void {
  sum += width + vPixels[0]!;
}

function oneWaySync(): Loop {
  const [to, from] = bytesChannel({ capacity: 32 << 20 });
  return { ...timed(() => look(from.recvSync())), setup: { to } };
}

function oneWayAwait(): Loop {
  const [to, from] = bytesChannel();
  return {
    setup: { to },
    async run(count) {
      const begin = performance.now();
      for (let i = 0; i < count; i++) look(await from.recv());
      return performance.now() - begin;
    },
  };
}

function oneWayObject(): Loop {
  const [to, from] = channel<unknown>();
  return { ...timed(() => lookAtObject(from.recvSync() as SmallObject)), setup: { to } };
}

/** Frames that are read in place, or taken, in a ring like that of the results. */
function oneWayFrames(pixels: number, take: "borrow" | "receive"): Row {
  return {
    prepare() {
      const [to, from] = channel<unknown>({ capacity: 32 << 20 });
      const operation = take === "receive" ? () => lookAtFrame(from.recvSync() as YuvFrame) : () => {
        const message = from.borrowSync();
        lookAtFrame(message.value as YuvFrame);
        message.release();
      };
      return { ...timed(operation), setup: { to } };
    },
    partner({ to }) {
      const sender = to as IpcSender<unknown>, frame = yuvFrame(pixels);
      for (;;) sender.sendSync(frame);
    },
  };
}

function roundTripSync(size: number): Loop {
  const [to, theirs] = bytesChannel(), [back, from] = bytesChannel();
  const bytes = new Uint8Array(size);
  return {
    ...timed(() => {
      bytes[0]!++;
      to.sendSync(bytes);
      look(from.recvSync());
    }),
    setup: { to: back, from: theirs },
  };
}

function roundTripAwait(): Loop {
  const [to, theirs] = bytesChannel(), [back, from] = bytesChannel();
  const bytes = new Uint8Array(SIZE);
  return {
    setup: { to: back, from: theirs },
    async run(count) {
      const begin = performance.now();
      for (let i = 0; i < count; i++) {
        bytes[0]!++;
        await to.send(bytes);
        look(await from.recv());
      }
      return performance.now() - begin;
    },
  };
}

function roundTripObject(): Loop {
  const [to, theirs] = channel<unknown>(), [back, from] = channel<unknown>();
  let id = 0;
  return {
    ...timed(() => {
      to.sendSync(smallObject(++id & 0xffff));
      lookAtObject(from.recvSync() as SmallObject);
    }),
    setup: { to: back, from: theirs },
  };
}

/** Each request has a new channel for its answer. */
function requestSync(): Loop {
  const [requests, theirs] = channel<Request>();
  return {
    ...timed(() => {
      const [reply, answer] = channel<number>();
      requests.sendSync({ reply });
      reply.close();
      sum += answer.recvSync();
      answer.close();
    }),
    setup: { from: theirs },
  };
}

function requestAwait(): Loop {
  const [requests, theirs] = channel<Request>();
  return {
    setup: { from: theirs },
    async run(count) {
      const begin = performance.now();
      for (let i = 0; i < count; i++) {
        const [reply, answer] = channel<number>();
        await requests.send({ reply });
        reply.close();
        sum += await answer.recv();
        answer.close();
      }
      return performance.now() - begin;
    },
  };
}

/** Messages that are written and read in place, one way: the ring holds sixteen of the largest. */
function oneWayInPlace(size: number): Row {
  return {
    prepare() {
      const [to, from] = bytesChannel({ capacity: 16 << 20 });
      return { ...timed(() => lookInPlace(from.borrowSync())), setup: { to } };
    },
    partner({ to }) {
      const bytes = new Uint8Array(size), sender = to as IpcBytesSender;
      for (;;) {
        bytes[0]!++;
        writeInPlace(sender.reserveSync(size), bytes);
      }
    },
  };
}

function roundTripInPlaceSync(size: number): Row {
  return {
    prepare() {
      const [to, theirs] = bytesChannel(), [back, from] = bytesChannel();
      const bytes = new Uint8Array(size);
      return {
        ...timed(() => {
          bytes[0]!++;
          writeInPlace(to.reserveSync(size), bytes);
          lookInPlace(from.borrowSync());
        }),
        setup: { to: back, from: theirs },
      };
    },
    partner({ to, from }) {
      const sender = to as IpcBytesSender, receiver = from as IpcBytesReceiver;
      for (;;) {
        const request = receiver.borrowSync();
        writeInPlace(sender.reserveSync(size), request.value);
        request.release();
      }
    },
  };
}

function roundTripInPlaceAwait(size: number): Row {
  return {
    prepare() {
      const [to, theirs] = bytesChannel(), [back, from] = bytesChannel();
      const bytes = new Uint8Array(size);
      return {
        setup: { to: back, from: theirs },
        async run(count) {
          const begin = performance.now();
          for (let i = 0; i < count; i++) {
            bytes[0]!++;
            writeInPlace(await to.reserve(size), bytes);
            lookInPlace(await from.borrow());
          }
          return performance.now() - begin;
        },
      };
    },
    async partner({ to, from }) {
      const sender = to as IpcBytesSender, receiver = from as IpcBytesReceiver;
      for (;;) {
        const request = await receiver.borrow();
        writeInPlace(await sender.reserve(size), request.value);
        request.release();
      }
    },
  };
}

function writeInPlace(loan: Loan, bytes: Uint8Array): void {
  loan.bytes.set(bytes);
  loan.commit();
}

function lookInPlace(message: Borrowed<Uint8Array>): void {
  look(message.value);
  message.release();
}

function sendBytes(size: number): Partner {
  return ({ to }) => {
    const bytes = new Uint8Array(size), sender = to as IpcBytesSender;
    for (;;) {
      bytes[0]!++;
      sender.sendSync(bytes);
    }
  };
}

async function sendBytesAwait({ to }: Setup): Promise<void> {
  const bytes = new Uint8Array(SIZE), sender = to as IpcBytesSender;
  for (;;) {
    bytes[0]!++;
    await sender.send(bytes);
  }
}

function sendObjects({ to }: Setup): void {
  const sender = to as IpcSender<unknown>;
  for (let id = 0;; id++) sender.sendSync(smallObject(id & 0xffff));
}

function echo({ to, from }: Setup): void {
  const sender = to as IpcSender<unknown>, receiver = from as IpcReceiver<unknown>;
  for (;;) sender.sendSync(receiver.recvSync());
}

async function echoAwait({ to, from }: Setup): Promise<void> {
  const sender = to as IpcSender<unknown>, receiver = from as IpcReceiver<unknown>;
  for (;;) await sender.send(await receiver.recv());
}

function answer({ from }: Setup): void {
  const requests = from as IpcReceiver<Request>;
  for (let n = 0;; n = (n + 1) & 0xffff) {
    const { reply } = requests.recvSync();
    reply.sendSync(n);
    reply.close();
  }
}

async function answerAwait({ from }: Setup): Promise<void> {
  const requests = from as IpcReceiver<Request>;
  for (let n = 0;; n = (n + 1) & 0xffff) {
    const { reply } = await requests.recv();
    await reply.send(n);
    reply.close();
  }
}

const cellName = () => `bench-${crypto.randomUUID()}`;

/** All rows, by what they are called. */
export const ROWS: Readonly<Record<string, Row>> = {
  "one way, 64 B, sync": { prepare: oneWaySync, partner: sendBytes(SIZE) },
  "one way, 1 KiB, sync": { prepare: oneWaySync, partner: sendBytes(1024) },
  "one way, 64 B, await": { prepare: oneWayAwait, partner: sendBytesAwait },
  "round trip, 64 B, sync": { prepare: () => roundTripSync(SIZE), partner: echo },
  "round trip, 1 KiB, sync": { prepare: () => roundTripSync(1024), partner: echo },
  "round trip, 64 B, await": { prepare: roundTripAwait, partner: echoAwait },
  "one process, 64 B, send and receive": {
    prepare() {
      const [sender, receiver] = bytesChannel();
      const bytes = new Uint8Array(SIZE);
      return timed(() => {
        sender.sendSync(bytes);
        look(receiver.recvSync());
      });
    },
  },
  "one way, object, sync": { prepare: oneWayObject, partner: sendObjects },
  "round trip, object, sync": { prepare: roundTripObject, partner: echo },
  "one way, small frame, sync": oneWayFrames(6, "receive"),
  "one way, small frame, borrowed": oneWayFrames(6, "borrow"),
  "one way, large frame, borrowed": oneWayFrames(3840 * 2160, "borrow"),
  "a request with a channel for the answer, sync": { prepare: requestSync, partner: answer },
  "a request with a channel for the answer, await": { prepare: requestAwait, partner: answerAwait },
  "one process, object, send": { prepare: () => half(channel<SmallObject>(), smallObject, "send", lookAtObject) },
  "one process, object, receive": { prepare: () => half(channel<SmallObject>(), smallObject, "receive", lookAtObject) },
  "one process, small frame, send": { prepare: () => frames("send") },
  "one process, small frame, receive": { prepare: () => frames("receive") },
  "one process, the sender of a new channel": {
    prepare() {
      const [to, from] = channel<IpcSender<number>>();
      return timed(() => {
        const [sender, receiver] = channel<number>();
        to.sendSync(sender);
        for (const end of [from.recvSync(), sender, receiver]) end.close();
      });
    },
  },
  "one process, 1 sender": { prepare: () => senders(1) },
  "one process, 8 senders": { prepare: () => senders(8) },
  "one process, 64 senders": { prepare: () => senders(64) },
  ...Object.fromEntries(
    IN_PLACE.flatMap(([title, size]) => [
      [`one way, ${title}, in place`, oneWayInPlace(size)],
      [`round trip, ${title}, in place, sync`, roundTripInPlaceSync(size)],
      [`round trip, ${title}, in place, await`, roundTripInPlaceAwait(size)],
    ]),
  ),
  "cell: lock and unlock": {
    prepare() {
      const arc = IpcArc.create<unknown>(cellName(), null);
      return timed(() => arc.acquireSync().release());
    },
  },
  "cell: read a small object": {
    prepare() {
      const arc = IpcArc.create(cellName(), smallObject(1));
      return timed(() => lookAtObject(arc.read()));
    },
  },
  "cell: lock, write a field, unlock": {
    prepare() {
      const arc = IpcArc.create(cellName(), { n: 0, x: 0, y: 0 }, { layout: struct({ n: u32, x: f64, y: f64 }) });
      return timed(() => {
        const guard = arc.acquireSync();
        guard.value.x++;
        guard.release();
      });
    },
  },
};

/** A message with senders, which are sent again and again. */
function senders(count: number): Loop {
  const [to, from] = channel<IpcSender<number>[]>();
  const cargo = Array.from({ length: count }, () => channel<number>()[0]);
  return timed(() => {
    to.sendSync(cargo);
    for (const each of from.recvSync()) each.close();
  });
}

function frames(counted: "send" | "receive"): Loop {
  const frame = yuvFrame(6);
  return half(channel<typeof frame>(), () => frame, counted, ({ width, vPixels }) => sum += width + vPixels[0]!);
}
