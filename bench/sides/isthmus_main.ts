// One run of this package: `isthmus_main.ts STYLE WORKLOAD` measures and starts the other processes itself, as
// `isthmus_main.ts STYLE WORKLOAD SERVER`.
import {
  bytesChannel,
  channel,
  type IpcBytesReceiver,
  type IpcBytesSender,
  IpcOneShotServer,
  type IpcReceiver,
  IpcSender,
  type Loan,
} from "../../mod.ts";
import { measureAsync, measureSync } from "../harness/loop.mjs";
import { type SmallObject, smallObject, type YuvFrame, yuvFrame } from "../harness/payloads.ts";
import type { Measurement, Workload } from "../harness/workload.ts";
import type { Style } from "./isthmus.ts";
import { measureOperation } from "./isthmus_operations.ts";

/** What the measuring process hands to each of the others. */
interface Setup {
  /** Where messages go; absent if each brings its own channel for the answer. */
  to?: IpcSender<unknown> | IpcBytesSender;
  /** Of a round trip: where requests come from. */
  from?: IpcReceiver<unknown> | IpcBytesReceiver;
}

/** A request that brings its own channel for the answer. */
interface Request {
  reply: IpcSender<number>;
}

/** Room for two of the largest messages, as ipmpsc's own measurement has it. */
const CAPACITY = 32 << 20;

/** What a core's caches hold, for messages in place alone: iceoryx2's number of messages on their way is chosen so, too. */
const CACHED = 1 << 20;

const [style, workloadText, serverName] = Deno.args as [Style, string, string | undefined];
const workload: Workload = JSON.parse(workloadText);
const typed = style.startsWith("typed");
const asynchronous = style.endsWith("async");
const loaned = style === "bytes-loaned" || style === "bytes-loaned-async";
const batches = style.endsWith("-batches");
/** Messages of a batch that is loaned. */
const BATCH = 64;
/** What was read, so that no compiler can leave the reading out. */
let sum = 0;

function open(): [IpcSender<unknown> | IpcBytesSender, IpcReceiver<unknown> | IpcBytesReceiver] {
  const capacity = loaned ? Math.max(CACHED, 2 * workload.size) : CAPACITY;
  const options = workload.kind === "one-way" ? { capacity } : {};
  return typed ? channel<unknown>(options) : bytesChannel(options);
}

// --- The measuring process --------------------------------------------------------------------------------------------

async function start(setup: Setup): Promise<Deno.ChildProcess> {
  using server = new IpcOneShotServer<IpcSender<Setup>>();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--quiet", new URL(import.meta.url).pathname, style, workloadText, server.name],
    stdin: "null",
    stdout: "null",
  }).spawn();
  const [receiver, inbox] = await server.accept({ timeout: 30_000 });
  inbox.sendSync(setup);
  inbox.close();
  receiver.close();
  return child;
}

async function receive(): Promise<Measurement> {
  const [to, from] = open();
  const children: Deno.ChildProcess[] = [];
  for (let i = 0; i < workload.senders; i++) children.push(await start({ to }));
  to.close();
  const pids = children.map(({ pid }) => pid);
  const result = asynchronous
    ? await measureAsync(workload, pids, receiveAsync(from))
    : measureSync(workload, pids, receiveSync(from));
  await end(children);
  return result;
}

function receiveAsync(from: IpcReceiver<unknown> | IpcBytesReceiver): () => Promise<void> {
  if (!typed) {
    const bytes = from as IpcBytesReceiver;
    return async () => look(await bytes.recv());
  }
  const values = from as IpcReceiver<unknown>;
  return workload.payload === "object"
    ? async () => lookAtObject(await values.recv() as SmallObject)
    : async () => look(await values.recv() as Uint8Array);
}

function receiveSync(from: IpcReceiver<unknown> | IpcBytesReceiver): () => void {
  const bytes = from as IpcBytesReceiver, values = from as IpcReceiver<unknown>;
  if (style === "bytes-borrowed" || loaned) {
    return () => {
      const message = bytes.borrowSync();
      look(message.value);
      message.release();
    };
  }
  if (batches) return receiveBatches(bytes);
  if (style === "bytes-into") {
    const memory = new Uint8Array(workload.size);
    return () => look(memory.subarray(0, bytes.recvIntoSync(memory)));
  }
  if (!typed) return () => look(bytes.recvSync());
  if (workload.payload === "object") return () => lookAtObject(values.recvSync() as SmallObject);
  if (workload.payload === "bytes") return () => look(values.recvSync() as Uint8Array);
  if (style !== "typed-borrowed") return () => lookAtFrame(values.recvSync() as YuvFrame);
  return () => {
    const message = values.borrowSync();
    lookAtFrame(message.value as YuvFrame);
    message.release();
  };
}

function receiveBatches(bytes: IpcBytesReceiver): () => void {
  let batch = bytes.borrowManySync(), messages = batch[Symbol.iterator]();
  return () => {
    for (;;) {
      const next = messages.next();
      if (!next.done) return look(next.value);
      batch.release();
      batch = bytes.borrowManySync(), messages = batch[Symbol.iterator]();
    }
  };
}

function look(bytes: Uint8Array): void {
  sum += bytes[0]! + bytes[bytes.length - 1]!;
}

function lookAtObject({ id, pos }: SmallObject): void {
  sum += id + pos[0] + pos[1];
}

function lookAtFrame({ width, vPixels }: YuvFrame): void {
  sum += width + vPixels[0]!;
}

async function pingPong(): Promise<Measurement> {
  const [to, theirs] = open(), [back, from] = open();
  const child = await start({ to: back, from: theirs });
  back.close();
  const pids = [child.pid];
  const bytes = new Uint8Array(workload.size);
  const request = workload.payload === "object" ? smallObject(1) : bytes;
  const sender = to as IpcSender<unknown>, receiver = from as IpcReceiver<unknown>;
  const result = loaned
    ? await pingPongInPlace(to as IpcBytesSender, from as IpcBytesReceiver, pids)
    : asynchronous
    ? await measureAsync(workload, pids, async () => {
      bytes[0]!++;
      await sender.send(request);
      sum += (await receiver.recv() as Uint8Array)[0] ?? 0;
    })
    : measureSync(workload, pids, () => {
      bytes[0]!++;
      sender.sendSync(request);
      sum += (receiver.recvSync() as Uint8Array)[0] ?? 0;
    });
  await end([child]);
  return result;
}

/** Each request has a new channel for its answer. */
async function ask(): Promise<Measurement> {
  const [requests, theirs] = channel<Request>();
  const child = await start({ from: theirs });
  const pids = [child.pid];
  const result = asynchronous
    ? await measureAsync(workload, pids, async () => {
      const [reply, answer] = channel<number>();
      await requests.send({ reply });
      reply.close(); // ipc-channel moves it into the request
      sum += await answer.recv();
      answer.close();
    })
    : measureSync(workload, pids, () => {
      const [reply, answer] = channel<number>();
      requests.sendSync({ reply });
      reply.close();
      sum += answer.recvSync();
      answer.close();
    });
  await end([child]);
  return result;
}

/** Requests are written, and answers read, in shared memory. */
function pingPongInPlace(
  sender: IpcBytesSender,
  receiver: IpcBytesReceiver,
  pids: readonly number[],
): Measurement | Promise<Measurement> {
  const bytes = new Uint8Array(workload.size);
  if (asynchronous) {
    return measureAsync(workload, pids, async () => {
      bytes[0]!++;
      commit(await sender.reserve(bytes.length), bytes);
      const answer = await receiver.borrow();
      look(answer.value);
      answer.release();
    });
  }
  return measureSync(workload, pids, () => {
    bytes[0]!++;
    commit(sender.reserveSync(bytes.length), bytes);
    const answer = receiver.borrowSync();
    look(answer.value);
    answer.release();
  });
}

/** Writes into memory that is lent where a program would write its message in the first place. */
function commit(loan: Loan, bytes: Uint8Array): void {
  loan.bytes.set(bytes);
  loan.commit();
}

async function end(children: Deno.ChildProcess[]): Promise<void> {
  for (const child of children) {
    try {
      child.kill("SIGKILL");
    } catch {
      // Ended by itself; the status tells.
    }
  }
  for (const child of children) {
    const { signal, code } = await child.status;
    // Fewer senders than the row says would be faster.
    if (signal !== "SIGKILL") throw new Error(`A process ended during the measurement, with exit code ${code}`);
  }
}

// --- The other processes ----------------------------------------------------------------------------------------------

async function assist(server: string): Promise<void> {
  const [inbox, setups] = channel<Setup>();
  using parent = IpcSender.connect<IpcSender<Setup>>(server);
  parent.sendSync(inbox);
  const { to, from } = await setups.recv();
  if (to === undefined) return await answer(from as IpcReceiver<Request>);
  if (from !== undefined) {
    if (loaned) return await echoInPlace(to as IpcBytesSender, from as IpcBytesReceiver);
    const sender = to as IpcSender<unknown>, receiver = from as IpcReceiver<unknown>;
    if (asynchronous) { for (;;) await sender.send(await receiver.recv()); }
    for (;;) sender.sendSync(receiver.recvSync());
  }
  if (loaned) return lend(to as IpcBytesSender);
  if (style === "bytes-loaned-batches") return lendBatches(to as IpcBytesSender);
  const sender = to as IpcSender<unknown>;
  const next = producer();
  if (asynchronous) { for (;;) await sender.send(next()); }
  for (;;) sender.sendSync(next());
}

async function answer(requests: IpcReceiver<Request>): Promise<void> {
  for (let n = 0;; n = (n + 1) & 0xffff) {
    const { reply } = asynchronous ? await requests.recv() : requests.recvSync();
    if (asynchronous) await reply.send(n);
    else reply.sendSync(n);
    reply.close();
  }
}

/** A new message each time. */
function producer(): () => unknown {
  if (workload.payload === "object") {
    let id = 0;
    return () => smallObject(++id & 0xffff);
  }
  if (workload.payload === "frame") {
    const frame = yuvFrame(workload.size);
    return () => frame;
  }
  const bytes = new Uint8Array(workload.size);
  return () => {
    bytes[0]!++;
    return bytes;
  };
}

function lend(sender: IpcBytesSender): void {
  const bytes = new Uint8Array(workload.size);
  for (;;) {
    bytes[0]!++;
    commit(sender.reserveSync(bytes.length), bytes);
  }
}

function lendBatches(sender: IpcBytesSender): void {
  const bytes = new Uint8Array(workload.size);
  for (;;) {
    const batch = sender.reserveManySync(BATCH, bytes.length);
    for (const message of batch.messages) {
      bytes[0]!++;
      message.set(bytes);
    }
    batch.commit();
  }
}

async function echoInPlace(sender: IpcBytesSender, receiver: IpcBytesReceiver): Promise<void> {
  for (;;) {
    const request = asynchronous ? await receiver.borrow() : receiver.borrowSync();
    commit(asynchronous ? await sender.reserve(workload.size) : sender.reserveSync(workload.size), request.value);
    request.release();
  }
}

const main = workload.kind === "operation"
  ? measureOperation
  : workload.kind === "one-way"
  ? receive
  : workload.payload === "request"
  ? ask
  : pingPong;
if (serverName === undefined) {
  console.log(JSON.stringify(await main(workload)));
  Deno.exit(); // the others are killed already
}
await assist(serverName);
