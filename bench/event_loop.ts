/**
 * What a program that awaits without a pause leaves to the rest of itself: ticks of a timer of 1 ms, and round trips over
 * TCP, beside each call that may resolve without a turn of the event loop, with some work each.
 *
 * ```sh
 * deno task bench:event-loop
 * ```
 *
 * @module
 */
import {
  bytesChannel,
  channel,
  IpcArc,
  IpcOneShotServer,
  type IpcReceiver,
  IpcReceiverSet,
  IpcSender,
  IpcServer,
  recvFds,
  sendFds,
  UnixSocket,
} from "../mod.ts";
import { summarise } from "./harness/statistics.ts";

const MEASURE = 2000, WORK = [0, 5, 100];

/** What the other process does meanwhile. */
interface Job {
  flood?: IpcSender<number>;
  drain?: IpcReceiver<number>;
  connect?: string;
}

/** One thing that is awaited in a loop. */
interface Loop {
  turn(): unknown;
  job?: Job;
  close(): void;
}

function received(receive: (from: IpcReceiver<number>) => () => unknown): Loop {
  const [flood, receiver] = channel<number>();
  return { turn: receive(receiver), job: { flood }, close: () => receiver.close() };
}

const LOOPS: Record<string, () => Loop> = {
  "recv()": () => received((receiver) => () => receiver.recv()),
  "for await": () =>
    received((receiver) => {
      const values = receiver[Symbol.asyncIterator]();
      return () => values.next();
    }),
  "a readable stream": () =>
    received((receiver) => {
      const reader = receiver.toReadableStream().getReader();
      return () => reader.read();
    }),
  "select()": () =>
    received((receiver) => {
      const set = new IpcReceiverSet();
      set.add(receiver);
      return () => set.select();
    }),
  "send()"() {
    const [sender, drain] = channel<number>();
    return { turn: () => sender.send(1), job: { drain }, close: () => sender.close() };
  },
  "a writable stream"() {
    const [sender, drain] = channel<number>();
    const writer = sender.toWritableStream().getWriter();
    return { turn: () => writer.write(1), job: { drain }, close: () => sender.close() };
  },
  "reserve() and borrow()"() {
    const [sender, receiver] = bytesChannel();
    return {
      async turn() {
        (await sender.reserve(64)).commit();
        (await receiver.borrow()).release();
      },
      close: () => (sender.close(), receiver.close()),
    };
  },
  "acquire()"() {
    const arc = IpcArc.create(`bench-${crypto.randomUUID()}`, 0);
    return { turn: async () => (await arc.acquire()).release(), close: () => arc.close() };
  },
  "sendFds() and recvFds()"() {
    const [here, there] = UnixSocket.pair();
    const byte = new Uint8Array(1);
    return {
      turn: async () => (await sendFds(here, byte, []), await recvFds(there, 1)),
      close: () => (here.close(), there.close()),
    };
  },
  "IpcServer.accept()"() {
    const server = new IpcServer<number, number>({ capacity: 1 << 16 });
    return {
      turn: async () => (await server.accept()).close(),
      job: { connect: server.name },
      close: () => server.close(),
    };
  },
};

async function main(): Promise<void> {
  console.log(
    `${"beside".padEnd(26)}${"work".padStart(8)}${"calls a second".padStart(16)}${"ticks a second".padStart(16)}` +
      `${"round trip: median".padStart(22)}${"longest".padStart(12)}`,
  );
  for (const [name, make] of Object.entries(LOOPS)) {
    for (const work of WORK) await measure(name, make(), work);
  }
  Deno.exit();
}

async function measure(name: string, loop: Loop, work: number): Promise<void> {
  const child = loop.job === undefined ? undefined : await start(loop.job);
  const echo = await startEcho();
  let ticks = 0, calls = 0;
  const ticking = setInterval(() => ticks++, 1);
  const begin = performance.now(), until = begin + MEASURE;
  for (let now = begin; now < until;) {
    // A look at the clock takes longer than some of these calls.
    for (let n = 0; n < (work > 0 ? 1 : 64) && now < until; n++) {
      await loop.turn();
      calls++;
    }
    now = performance.now();
    if (work > 0) { for (const done = now + work / 1000; now < done; now = performance.now()); }
  }
  const seconds = (performance.now() - begin) / 1000;
  clearInterval(ticking);
  const { median, most } = summarise(await echo());
  loop.close();
  child?.kill("SIGKILL");
  await child?.status;
  console.log(
    `${name.padEnd(26)}${`${work} µs`.padStart(8)}${(calls / seconds).toFixed(0).padStart(16)}` +
      `${(ticks / seconds).toFixed(0).padStart(16)}${`${median.toFixed(2)} ms`.padStart(22)}${
        `${most.toFixed(1)} ms`.padStart(12)
      }`,
  );
}

/** Round trips of another thread over TCP to this one, from now until the times are asked for. */
async function startEcho(): Promise<() => Promise<number[]>> {
  const listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = listener.addr as Deno.NetAddr;
  void listener.accept().then((connection) => connection.readable.pipeTo(connection.writable)).catch(() => {});
  const program = `
    const connection = await Deno.connect({ port: ${port} });
    const buffer = new Uint8Array(64), times = [];
    self.onmessage = () => postMessage(times);
    postMessage("ready");
    for (;;) {
      const begin = performance.now();
      await connection.write(buffer);
      await connection.read(buffer);
      times.push(performance.now() - begin);
    }`;
  const worker = new Worker(`data:text/javascript,${encodeURIComponent(program)}`, { type: "module" });
  const said = () => new Promise<unknown>((resolve) => worker.onmessage = ({ data }) => resolve(data));
  await said();
  return async () => {
    worker.postMessage("times");
    const times = await said() as number[];
    worker.terminate();
    listener.close();
    return times;
  };
}

async function start(job: Job): Promise<Deno.ChildProcess> {
  using rendezvous = new IpcOneShotServer<IpcSender<Job>>();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--quiet", new URL(import.meta.url).pathname, "assist", rendezvous.name],
    stdin: "null",
  }).spawn();
  const [receiver, inbox] = await rendezvous.accept({ timeout: 30_000 });
  inbox.sendSync(job);
  inbox.close(), receiver.close(), job.flood?.close();
  return child;
}

async function assist(name: string): Promise<void> {
  const [inbox, jobs] = channel<Job>();
  IpcSender.connect<IpcSender<Job>>(name).sendSync(inbox);
  const { flood, drain, connect } = await jobs.recv();
  if (flood !== undefined) { for (;;) flood.sendSync(1); }
  if (drain !== undefined) { for (;;) drain.recvSync(); }
  for (;;) {
    try {
      IpcServer.connect(connect!).close();
    } catch {
      // The queue is full for a moment.
    }
  }
}

const [role, server] = Deno.args;
if (role === "assist") await assist(server!);
else if (role === undefined) await main();
